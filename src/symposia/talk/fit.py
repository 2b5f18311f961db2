"""Making a view fit the context window: never a silent cut.

A policy is a value; `fit` is a pure generator. It yields candidate views to be measured, receives their token counts,
and returns what to send, or the range a summary must stand for first. No message is ever cut inside.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Annotated

from msgspec import Meta

from symposia.core.errors import ContextOverflow, InvalidInput
from symposia.core.lines import Line
from symposia.core.message import Message
from symposia.core.toolspec import ToolSpec
from symposia.core.value import Value, canonical

from .view import Ranges, framing_end, summaries

Positive = Annotated[int, Meta(ge=1)]
Keep = Annotated[int, Meta(ge=0)]
Build = Callable[[Ranges], tuple[Line, ...]]
LINE_TOKENS = 16


class Policy(Value, frozen=True, kw_only=True, tag_field="type"):
    """Base of the fit policies. `limit` lowers the model's own window; `marker` is shown where turns were left out."""

    limit: Positive | None = None
    marker: str = ""


class Fail(Policy, frozen=True, kw_only=True, tag="fail"):
    """Over the limit is an error."""


class DropOldest(Policy, frozen=True, kw_only=True, tag="drop_oldest"):
    """Leave out the fewest oldest turns, with their trails; never the newest `keep`."""

    keep: Keep = 2


class Window(Policy, frozen=True, kw_only=True, tag="window"):
    """Always show only the newest `last` turns."""

    last: Positive = 8


class Summarise(Policy, frozen=True, kw_only=True, tag="summarise"):
    """Replace the oldest turns by a summary, made once by a participant or `function:NAME`; keep the newest `keep`."""

    keep: Keep = 4
    by: str
    words: Positive = 200


Fit = Fail | DropOldest | Window | Summarise


class Fitted(Value, frozen=True, kw_only=True):
    """Lines that fit, and the message ranges left out."""

    lines: tuple[Line, ...]
    dropped: Ranges = ()


class NeedsSummary(Value, frozen=True, kw_only=True):
    """Messages [start, stop) must be summarised before a view of `tokens` can fit `limit` less `reserve`."""

    start: int
    stop: int
    tokens: int
    limit: int
    reserve: int


Measuring = Generator[tuple[Line, ...], int, Fitted | NeedsSummary]


class Limits(Value, frozen=True, kw_only=True):
    """Tokens a prompt may have: the window less the reply's reserve; `preamble` is what an empty prompt costs."""

    speaker: str
    window: int | None
    reserve: int
    preamble: int = 0

    @property
    def room(self) -> int | None:
        """Tokens left for the prompt."""
        return None if self.window is None else self.window - self.reserve


def limits(policy: Fit, speaker: str, window: int | None, reserve: int, preamble: int) -> Limits:
    """The smaller of the model's window and the policy's limit, less the reserve."""
    known = [n for n in (window, policy.limit) if n is not None]
    return Limits(speaker=speaker, window=min(known) if known else None, reserve=reserve, preamble=preamble)


def fit(
    policy: Fit, limits: Limits, turns: Ranges, build: Build, *, tools: Sequence[ToolSpec] = ()
) -> Measuring:
    """Yield views to measure; return lines that fit, or the range to summarise.

    `turns` are the message ranges that may go, oldest first, each with its trail; `build` gives the view without some.
    Raises `ContextOverflow` when even the smallest allowed view is too long.
    """
    first: Ranges = ()
    if isinstance(policy, Window):
        first = turns[: max(len(turns) - policy.last, 0)]
    lines = build(first)
    room = limits.room
    if room is None or bound(lines, tools, limits.preamble) <= room:
        return Fitted(lines=lines, dropped=joined(first))
    tokens = yield lines
    if tokens <= room:
        return Fitted(lines=lines, dropped=joined(first))
    match policy:
        case DropOldest():
            return (yield from _drop(limits, turns[: max(len(turns) - policy.keep, 0)], build))
        case Summarise():
            old = turns[: max(len(turns) - policy.keep, 0)]
            if old:
                return NeedsSummary(
                    start=old[0][0],
                    stop=old[-1][1],
                    tokens=tokens,
                    limit=room + limits.reserve,
                    reserve=limits.reserve,
                )
    raise overflow(limits, tokens, lines)


def _drop(limits: Limits, may_go: Ranges, build: Build) -> Measuring:
    low, high = 1, len(may_go)  # the fewest that fit lies in [low, high]; everything below low is too long
    best: Fitted | None = None
    smallest: tuple[Line, ...] = build(may_go)
    tokens = yield smallest
    if tokens > (limits.room or 0) or not may_go:
        raise overflow(limits, tokens, smallest)
    best = Fitted(lines=smallest, dropped=joined(may_go))
    while low < high:
        middle = (low + high) // 2
        lines = build(may_go[:middle])
        tokens = yield lines
        if tokens <= (limits.room or 0):
            high, best = middle, Fitted(lines=lines, dropped=joined(may_go[:middle]))
        else:
            low = middle + 1
    return best


def droppable(messages: Sequence[Message], name: str, moderator: str) -> Ranges:
    """Message ranges a policy may leave out of `name`'s view, oldest first: turns with their trails, never framing.

    Messages a summary stands for, and the summaries themselves, are not among them.
    """
    standing = summaries(messages, name)
    covered = {i for at in standing.values() for i in range(*(messages[at].stands_for or (0, 0)))}
    ranges: list[tuple[int, int]] = []
    start: int | None = None
    for index in range(framing_end(messages, name, moderator), len(messages)):
        message = messages[index]
        if index in covered or message.stands_for or message.author == "system" or not message.heard_by(name):
            continue
        start = index if start is None else start
        if not message.has_tools:
            ranges.append((start, index + 1))
            start = None
    return tuple(ranges)


def summary_range(messages: Sequence[Message], name: str, needs: NeedsSummary) -> tuple[int, int]:
    """The range a new summary stands for: what is asked for, and everything an older summary already stood for."""
    starts = [needs.start, *summaries(messages, name)]
    return min(starts), needs.stop


def bound(lines: Sequence[Line], tools: Sequence[ToolSpec], preamble: int) -> int:
    """More tokens than the lines can have: bytes, 16 a line, tools and preamble."""
    text = sum(len(s.text.encode()) for line in lines for s in line.segments)
    calls = sum(len(canonical(call)) for line in lines for call in line.calls)
    thoughts = sum(len(r.text.encode()) for line in lines for r in line.reasoning)
    described = sum(len(canonical(tool)) for tool in tools)
    return text + calls + thoughts + described * 2 + LINE_TOKENS * (len(lines) + 1) + preamble


def joined(ranges: Ranges) -> Ranges:
    """Ranges with neighbours merged."""
    out: list[tuple[int, int]] = []
    for start, stop in ranges:
        if out and out[-1][1] == start:
            out[-1] = (out[-1][0], stop)
        else:
            out.append((start, stop))
    return tuple(out)


def overflow(limits: Limits, tokens: int, lines: Sequence[Line]) -> ContextOverflow:
    """The error with the numbers and the three largest lines."""
    if limits.window is None:
        raise InvalidInput("a view without a limit cannot overflow")
    largest = sorted(lines, key=lambda line: len(line.text), reverse=True)[:3]
    shown = tuple(
        f"{line.kind} {line.role} of {len(line.text)} characters: {line.text[:40]!r}" for line in largest
    )
    return ContextOverflow(
        tokens=tokens, limit=limits.window, speaker=limits.speaker, reserve=limits.reserve, largest=shown
    )
