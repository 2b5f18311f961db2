"""Drawing the people of a dialogue and the system text of the one whose view is trained."""

from training.grammar import framing
from training.grammar.bank import Topic
from training.grammar.dice import Dice
from training.grammar.opinion import Talker
from training.grammar.traits import PRIORS, Traits, draw

SHOWN = tuple(name for name in PRIORS if name != "distress")
_PLAIN = Traits()


def stated(dice: Dice, traits: Traits, allowed: tuple[str, ...] = SHOWN) -> tuple[str, ...]:
    """Which attributes the system text will name: none in one case of eight, unremarkable ones less often."""
    if dice.chance(0.12):
        return ()
    return tuple(
        name for name in allowed if dice.chance(0.3 if traits.value(name) == _PLAIN.value(name) else 0.65)
    )


def talkers(dice: Dice, count: int) -> tuple[Talker, ...]:
    """People with different names, independent manners and sides."""
    return tuple(Talker(name, draw(dice), dice.between(0, 1)) for name in framing.cast(dice, count))


def system_text(
    dice: Dice,
    talker: Talker,
    *,
    topic: Topic | None,
    others: tuple[str, ...],
    allowed: tuple[str, ...] = SHOWN,
) -> str:
    """Identity, company, manner and side, each perhaps; maybe empty. With `topic` the side may be stated."""
    parts: list[str] = []
    if dice.chance(0.7):
        parts.append(framing.identity(dice, talker.name))
    if others and dice.chance(0.35):
        parts.append(framing.meets(dice, others))
    if dice.chance(0.15):
        parts.append(dice.pick(framing.FACTS))
    parts += framing.manner(dice, talker.traits, stated(dice, talker.traits, allowed))
    if topic is not None and dice.chance(0.3):
        parts.append(dice.pick(framing.SIDES).format(s=topic.sides[talker.side].stance))
    return " ".join(parts)


def with_context(shared: str, own: str) -> str:
    """Shared framing, a blank line, the speaker's own: the form in which system lines reach a model."""
    return "\n\n".join(part for part in (shared, own) if part)
