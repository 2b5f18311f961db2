"""A dialogue before anybody looks at it: who said what, what it cost to derive, who learns from it."""

from dataclasses import dataclass, field
from typing import Any

from training.grammar.dice import Dice

MODERATOR = "moderator"


@dataclass(frozen=True)
class Utterance:
    """Something said. `nats`: -log P of its derivation given all before; `taught`: the model should learn it.

    `call` holds a tool call instead of text; what `tool` says is its result. `plan` is unspoken reasoning.
    A line with one right content names its `skill` and what it `expects`.
    """

    author: str
    text: str
    nats: float = 0.0
    taught: bool = False
    call: tuple[str, str, str] | None = None
    plan: str = ""
    skill: str = ""
    expects: str = ""


@dataclass
class Dialogue:
    """`viewer` is the participant whose view is trained; `system` its system text, `roster` all the names."""

    roster: tuple[str, ...]
    viewer: str
    system: str = ""
    tools: tuple[dict[str, Any], ...] = ()
    thinking: str = "no"  # no | stated (in the system text) | invited (by the template)
    kind: str = ""
    spoken: list[Utterance] = field(default_factory=list)

    def say(self, author: str, text: str) -> None:
        """Add a line that is context only."""
        self.spoken.append(Utterance(author, text))


class Meter:
    """Reads the cost of one utterance off the dice."""

    def __init__(self, dice: Dice) -> None:
        self._dice = dice
        self._mark = dice.nats

    def start(self) -> None:
        """Costs from here on belong to the next utterance."""
        self._mark = self._dice.nats

    def read(self) -> float:
        """Nats since `start`."""
        return self._dice.nats - self._mark
