"""How a person talks: eight attributes, each drawn independently of the others."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

from training.grammar.dice import Dice

PRIORS: Mapping[str, tuple[tuple[str, float], ...]] = {
    "sentiment": (("warm", 0.3), ("neutral", 0.4), ("cold", 0.3)),
    "formality": (("formal", 0.3), ("plain", 0.4), ("casual", 0.3)),
    "verbosity": (("short", 0.35), ("medium", 0.4), ("long", 0.25)),
    "confidence": (("sure", 0.3), ("plain", 0.4), ("unsure", 0.3)),
    "agreement": (("agrees", 0.3), ("own", 0.4), ("disagrees", 0.3)),
    "politeness": (("polite", 0.3), ("plain", 0.7)),
    "liveliness": (("lively", 0.25), ("calm", 0.75)),
    "distress": (("0", 0.34), ("1", 0.22), ("2", 0.22), ("3", 0.22)),
}


@dataclass(frozen=True)
class Traits:
    """One value per attribute of `PRIORS`; the defaults are the unremarkable ones."""

    sentiment: str = "neutral"
    formality: str = "plain"
    verbosity: str = "medium"
    confidence: str = "plain"
    agreement: str = "own"
    politeness: str = "plain"
    liveliness: str = "calm"
    distress: str = "0"

    def value(self, attribute: str) -> str:
        """The value of one attribute, by name."""
        return {f.name: v for f, v in zip(fields(self), self._values(), strict=True)}[attribute]

    def _values(self) -> tuple[str, ...]:
        return (
            self.sentiment,
            self.formality,
            self.verbosity,
            self.confidence,
            self.agreement,
            self.politeness,
            self.liveliness,
            self.distress,
        )


def draw(dice: Dice) -> Traits:
    """Independent draws from the priors."""
    return Traits(**{name: dice.weighted(options) for name, options in PRIORS.items()})


def with_value(traits: Traits, attribute: str, value: str) -> Traits:
    """The same person with one attribute changed; an unknown attribute or value is a ValueError."""
    allowed = [name for name, _ in PRIORS.get(attribute, ())]
    if value not in allowed:
        raise ValueError(f"{attribute} = {value!r}: expected one of {allowed}")
    return replace(traits, **{attribute: value})
