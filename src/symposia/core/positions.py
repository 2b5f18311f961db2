"""Which positions: one selector language for captures and interventions.

A position is what it is (who, which turn, which phase), not when it was computed: prefill, decode and
re-prefill of a token under the same selector agree. `resolve` is the definition; the engine decides generated
positions one by one with the same predicate.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Literal

from msgspec import Meta

from .errors import InvalidInput
from .span import Phase, Role
from .value import Value


class Range(Value, frozen=True):
    """Half-open; negative bounds count from the end. `stop=None` means to the end."""

    start: int = 0
    stop: int | None = None

    def __post_init__(self) -> None:
        same_side = self.stop is not None and (self.start < 0) == (self.stop < 0)
        if same_side and self.stop is not None and self.stop <= self.start:
            raise InvalidInput(f"range {self.start}..{self.stop} holds nothing; expected start < stop")

    def holds(self, index: int, length: int) -> bool:
        """Whether `index` of `length` lies in the range."""
        low = self.start if self.start >= 0 else length + self.start
        high = length if self.stop is None else self.stop if self.stop >= 0 else length + self.stop
        return max(low, 0) <= index < high

    @property
    def from_end(self) -> bool:
        """Whether a bound counts from an end that must be known."""
        return self.start < 0 or (self.stop is not None and self.stop < 0)


class Where(Value, frozen=True, kw_only=True):
    """Fields AND; values within a field OR; an empty field does not constrain.

    `authors` holds names, "self" (the reader) or "others". `turns` are transcript indexes, `back` is the
    distance from the turn being made. `made`: "generated" means sampled by this request. `tokens` counts
    within its unit (`within`) after the other fields have filtered. `text` selects literal substrings of
    given content. `lead` adds the position whose logits make each selected run's first token. `special=False`
    drops markup, tokenizer specials and position 0.
    """

    roles: tuple[Role, ...] = ()
    phases: tuple[Phase, ...] = ()
    authors: tuple[str, ...] = ()
    turns: tuple[Range, ...] = ()
    back: tuple[Range, ...] = ()
    made: Literal["any", "given", "generated"] = "any"
    tokens: tuple[Range, ...] = ()
    within: Literal["span", "turn", "sequence"] = "span"
    text: tuple[Annotated[str, Meta(min_length=1)], ...] = ()
    lead: bool = False
    special: bool = False


class Positions(Value, frozen=True, kw_only=True):
    """A union of `Where` clauses less another union; build with `|` and `-`."""

    any: tuple[Where, ...]
    minus: tuple[Where, ...] = ()

    def __post_init__(self) -> None:
        if not self.any:
            raise InvalidInput("a selection needs at least one clause in `any`; everything() selects all")

    def __or__(self, other: Positions) -> Positions:
        if self.minus or other.minus:
            raise InvalidInput("a selection with `-` cannot be joined by `|`; write (a | b) - c instead")
        return Positions(any=self.any + other.any)

    def __sub__(self, other: Positions) -> Positions:
        if other.minus:
            raise InvalidInput("cannot subtract a selection that itself subtracts; write a - (b | c) instead")
        return Positions(any=self.any, minus=self.minus + other.any)

    @property
    def clauses(self) -> tuple[Where, ...]:
        """Every clause, added and subtracted."""
        return self.any + self.minus


def speaking() -> Positions:
    """Own reasoning, answer and tool calls of all turns, each with the position making its first token."""
    own = Where(roles=("assistant",), authors=("self",), phases=("reasoning", "answer", "tool"), lead=True)
    return Positions(any=(own,))


def spoken() -> Positions:
    """The tokens this request generates."""
    return Positions(any=(Where(made="generated"),))


def everything() -> Positions:
    """Every position, markup and specials included."""
    return Positions(any=(Where(special=True),))


def prompt() -> Positions:
    """System text and everything others said."""
    return Positions(any=(Where(phases=("prompt",)),))


def answer() -> Positions:
    """The reader's visible words, in history or being made."""
    return Positions(any=(Where(phases=("answer",)),))


def reasoning() -> Positions:
    """The reader's own thinking."""
    return Positions(any=(Where(phases=("reasoning",)),))


def tools() -> Positions:
    """Tool calls and tool results."""
    return Positions(any=(Where(phases=("tool",)),))


def said_by(name: str) -> Positions:
    """What one author said."""
    return Positions(any=(Where(authors=(name,)),))


def turn(index: int) -> Positions:
    """One turn of the transcript by index, negative from the end."""
    return Positions(any=(Where(turns=(Range(index, index + 1 or None),)),))


def first(n: int) -> Positions:
    """The first n tokens of each given span."""
    return Positions(any=(Where(made="given", tokens=(Range(0, n),)),))


def last(n: int) -> Positions:
    """The last n tokens of each given span."""
    if n < 1:
        raise InvalidInput(f"last({n}): expected a positive number of tokens")
    return Positions(any=(Where(made="given", tokens=(Range(-n, None),)),))


def answer_end() -> Positions:
    """The last given answer token of the reader in the sequence."""
    return Positions(
        any=(Where(phases=("answer",), made="given", tokens=(Range(-1, None),), within="sequence"),)
    )


def answer_start() -> Positions:
    """The position before each of the reader's given answers: its logits make the answer's first token."""
    opening = Where(phases=("answer",), made="given", tokens=(Range(0, 1),), lead=True)
    return Positions(any=(opening,), minus=(Where(phases=("answer",)),))


def runs(positions: Iterable[int]) -> tuple[tuple[int, int], ...]:
    """Sorted disjoint half-open runs covering exactly the given positions."""
    ordered = sorted(set(positions))
    if ordered and ordered[-1] - ordered[0] == len(ordered) - 1:  # the usual case, and the quickest
        return ((ordered[0], ordered[-1] + 1),)
    found: list[list[int]] = []
    for position in ordered:
        if found and found[-1][1] == position:
            found[-1][1] = position + 1
        else:
            found.append([position, position + 1])
    return tuple((start, stop) for start, stop in found)


def members(selected: Sequence[tuple[int, int]]) -> list[int]:
    """The positions of some runs, in order."""
    return [position for start, stop in selected for position in range(start, stop)]
