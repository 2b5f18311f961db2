"""What a step writes and reads at which point. Where rows go on as in the step before, so does the answer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from .code import Coder
from .layout import Group, Layout, Member
from .plan import Act, Kind, Point, RowPlan
from .tape import Stock, Tape
from .write import Code


class RowStep(NamedTuple):
    """A row that writes or reads, in a batch: positions `[start, stop)` lie at flat tokens from `offset` on.

    Positions below `fresh` were forwarded before (a preempted row): written again, but neither counted nor read.
    """

    plan: RowPlan
    start: int
    stop: int
    offset: int
    fresh: int


_Write = tuple[
    RowPlan, int, tuple[Act, ...], bool
]  # a row's plan, flat token, what is written there, counted
_Read = tuple[
    RowPlan, int, tuple[int, ...], int
]  # a row's plan, flat token, captures, position less the step's number


class _Going(NamedTuple):
    """A row that makes one position, ungated, seen for the first time; `origin` is that less the step's number."""

    plan: RowPlan
    offset: int
    origin: int
    acts: tuple[Act, ...]
    reads: tuple[int, ...]


@dataclass
class _Known:
    """The newest step; `going`: its rows, if all are such."""

    going: list[_Going] | None = None
    writes: list[_Write] = field(default_factory=list)
    reads: list[_Read] = field(default_factory=list)
    codes: Mapping[Point, Code] = field(default_factory=dict)
    layout: Layout = field(default_factory=lambda: Layout({}, ()))


class Planner:
    """Remembers one step: in decode, rows write and read the same at the same places again and again."""

    def __init__(self, coder: Coder) -> None:
        self._coder = coder
        self._known = _Known()
        self._stock = Stock()
        self._steps = 0

    def layout(self, rows: Sequence[RowStep]) -> Layout:
        """Of the next step; the one before must be over, whatever became of it."""
        self._steps += 1
        known = self._known
        if self._goes_on(rows):
            for group in known.layout.groups:
                group.go_on()
            return known.layout
        writes, reads = self._writes(rows), self._reads(rows)
        same, on = writes == known.writes, reads == known.reads
        if on:
            for group in known.layout.groups:
                group.go_on()
        if not same or not on:
            codes = known.codes if same else self._code(writes)
            groups = known.layout.groups if on else self._group(reads)
            self._known = _Known(None, writes, reads, codes, Layout(codes, groups))
        self._known.going = self._going(rows)
        return self._known.layout

    def forget(self) -> None:
        """Let go of the newest step's rows."""
        self._known = _Known()

    def _goes_on(self, rows: Sequence[RowStep]) -> bool:
        """Whether every row does at the next position what it did at the last: the quick answer to most steps."""
        known, step = self._known.going, self._steps
        if known is None or len(known) != len(rows):
            return False
        for (plan, start, stop, offset, _), (last, place, origin, acts, reads) in zip(
            rows, known, strict=True
        ):
            if (
                plan is not last
                or start - step != origin
                or offset != place
                or stop - start != 1
                or plan.writes[start] is not acts
                or plan.reads[start] is not reads
            ):
                return False
        return True

    def _going(self, rows: Sequence[RowStep]) -> list[_Going] | None:
        if any(row.stop - row.start != 1 or row.start < row.fresh or row.plan.registers for row in rows):
            return None
        return [
            _Going(plan, offset, start - self._steps, plan.writes[start], plan.reads[start])
            for plan, start, _, offset, _ in rows
        ]

    def _writes(self, rows: Sequence[RowStep]) -> list[_Write]:
        return [
            (plan, offset + position - start, acts, position >= fresh)
            for plan, start, stop, offset, fresh in rows
            if plan.bounds
            for position in range(start, stop)
            if (acts := plan.acting(position) if plan.registers else plan.writes[position])
        ]

    def _reads(self, rows: Sequence[RowStep]) -> list[_Read]:
        return [
            (plan, offset + position - start, found, position - self._steps)
            for plan, start, stop, offset, fresh in rows
            if plan.captures
            for position in range(max(start, fresh), stop)
            if (found := plan.reads[position])
        ]

    def _code(self, writes: Sequence[_Write]) -> Mapping[Point, Code]:
        made: dict[Point, Code] = defaultdict(Code)
        for plan, token, acts, counted in writes:
            for point, code in self._coder.code(plan, acts, counted=counted):
                made[point].tokens.append(token)
                made[point].instructions.append(code)
        return dict(made)

    def _group(self, reads: Sequence[_Read]) -> list[Group]:
        """Captures of one kind together; within, those of one row."""
        found: dict[tuple[RowPlan, int], list[tuple[int, int]]] = defaultdict(list)
        for plan, token, captures, position in reads:
            for i in captures:
                found[plan, i].append((token, position + self._steps))
        made: dict[Kind, Group] = {}
        several = any(len(places) > 1 for places in found.values())
        for (plan, i), places in found.items():
            bound = plan.captures[i]
            group = made.get(bound.kind)
            if group is None:
                alone = several or bound.capture.site == "pattern"  # whose rows grow
                tape = Tape(stock=self._stock) if alone else Tape.lasting(self._stock)
                group = made[bound.kind] = Group(bound, [], [], tape)
            group.members.append(Member(plan.buffers[i], [p for _, p in places], len(group.tokens)))
            group.tokens.extend(token for token, _ in places)
        return list(made.values())
