"""One method on one item, once: what came, how it was graded, what it used. Everything a scorecard is computed from."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from symposia.core.usage import NOTHING, Usage
from symposia.core.value import Count, Value

Grade = Literal["right", "wrong", "unreadable", "failed"]
"""`unreadable` counts as wrong and has its own column; `failed` has no answer to grade, and a cause."""


class SeatAnswer(Value, frozen=True, kw_only=True):
    """What a seat said in a round. Equal keys are equal answers."""

    round: Annotated[int, Meta(ge=1)]
    seat: str
    key: str
    grade: Grade


class Course(Value, frozen=True, kw_only=True):
    """How a debate went: why it ended, after how many rounds, and every answer on the way."""

    reason: str
    rounds: Count
    answers: tuple[SeatAnswer, ...] = ()
    flags: tuple[str, ...] = ()

    @property
    def last(self) -> tuple[SeatAnswer, ...]:
        """The answers of the last round in which there are any."""
        final = max((a.round for a in self.answers), default=0)
        return tuple(a for a in self.answers if a.round == final)


class Tried(Value, frozen=True, kw_only=True):
    """What a method made of a question. `answer` is None where it has none: then `cause` says why.

    `failed` says that no answer came for a reason outside the model's words. `usage` counts what the method used,
    shared samples included; `overdraw` samples drawn beyond its budget and left aside. `unpriced` calls have no known
    price. `notes` name what did not go as planned.
    """

    answer: str | None
    cause: str = ""
    failed: bool = False
    usage: Usage = NOTHING
    unpriced: Count = 0
    marker_missing: Count = 0
    truncated: Count = 0
    samples: Count = 0
    overdraw: Count = 0
    notes: tuple[str, ...] = ()
    course: Course | None = None


class Trial(Value, frozen=True, kw_only=True):
    """A method's attempt at an item of a task set, graded. `repeat` counts from 0."""

    task: str
    item: str
    level: Count = 0
    repeat: Count = 0
    method: str
    grade: Grade
    tried: Tried

    @property
    def graded(self) -> bool:
        """Whether there was an answer to grade."""
        return self.grade != "failed"

    @property
    def right(self) -> bool:
        """Whether the answer is the item's."""
        return self.grade == "right"
