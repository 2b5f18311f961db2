"""From the acts at a token to instructions for every point they touch, kept by the row as long as it lives."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from symposia.core.intervention import Add

from .bank import Bank, Ledger
from .gates import WAYS
from .ops import Part, Row, Term, joins
from .plan import Act, Bound, Point, RowPlan
from .program import Flag, Instruction, Kind

_POLICIES = {"free": Flag.NONE, "keep": Flag.KEEP, "no_growth": Flag.NO_GROWTH}
_MEASURES = dict(zip(WAYS, (Flag.NONE, Flag.COSINE, Flag.CAST), strict=True))


@dataclass(frozen=True)
class Coder:
    """Holds rows and slots in the row's name; both are given back when the plan is closed."""

    bank: Bank
    ledger: Ledger

    def code(self, plan: RowPlan, acts: tuple[Act, ...], *, counted: bool) -> tuple[tuple[Point, bytes], ...]:
        """Instructions by point. Not `counted`: the same writes, into the slot that nobody reads."""
        made = plan.codes.get((acts, counted))
        if made is None:
            made = tuple(
                (point, b"".join(each.encode() for each in self._at(plan, point, acts, counted=counted)))
                for point in _points(plan, acts)
            )
            if all(act.m == 1.0 for act in acts):  # a schedule has new ones at every position
                plan.codes[acts, counted] = made
        return made

    def _at(
        self, plan: RowPlan, point: Point, acts: Sequence[Act], *, counted: bool
    ) -> Iterator[Instruction]:
        layer = point[1]
        assert layer is not None
        for group in _groups(plan, point, acts):
            first = plan.bounds[group[0].bound]
            if first.each is not None and first.each.point == point:
                yield self._probe(plan, group[0], counted=counted)
            if layer not in first.terms or first.intervention.site != point[0]:
                continue
            gate = plan.registers.get(group[0].bound, 0)
            if joins(first.intervention):
                yield from self._sum(plan, group, layer)
            else:
                yield from self._parts(plan, group[0], layer)
            yield Instruction(kind=Kind.SEAL, flags=_POLICIES[first.intervention.norm], gate=gate)
            for act in group:
                slot = plan.slot(act.bound, layer, self.ledger)
                watch = plan.bounds[act.bound].terms[layer].watch
                yield from self._counts(plan, watch, slot if counted else 0, gate)

    def _sum(self, plan: RowPlan, group: Sequence[Act], layer: int) -> Iterator[Instruction]:
        """Adjacent adds, summed before anything is written: what cancels changes no bit."""
        parts = [plan.bounds[act.bound].terms[layer].parts[0] for act in group]
        for flag in (Flag.NONE, Flag.RELATIVE):
            total: dict[object, float] = defaultdict(float)
            rows: dict[object, Row] = {}
            for part in parts:
                if part.flags == flag and part.write is not None:
                    total[part.write.key] += part.a
                    rows[part.write.key] = part.write
            if not any(total.values()):
                continue
            plan.strong.update((act.bound, layer) for act in group)
            if len(rows) == 1:
                [(key, row)] = rows.items()
                size = total[key]
            else:
                row, size = _total(total, rows), 1.0
            yield Instruction(kind=Kind.UPDATE, write=plan.hold(row, self.bank), a=size, flags=flag)

    def _parts(self, plan: RowPlan, act: Act, layer: int) -> Iterator[Instruction]:
        bound = plan.bounds[act.bound]
        term = bound.terms[layer]
        if isinstance(bound.intervention, Add) and term.parts[0].a and act.m:
            plan.strong.add((act.bound, layer))
        for part in _of(term, act):
            yield Instruction(
                kind=part.kind,
                read=0 if part.read is None else plan.hold(part.read, self.bank),
                write=0 if part.write is None else plan.hold(part.write, self.bank),
                flags=part.flags,
                gate=plan.registers.get(act.bound, 0),
                a=part.a,
                b=part.b,
                c=part.c,
                low=part.low,
                high=part.high,
                m=act.m,
            )

    def _counts(self, plan: RowPlan, watch: Sequence[Row], slot: int, gate: int) -> Iterator[Instruction]:
        if not watch:
            yield Instruction(kind=Kind.COUNT, slot=slot, gate=gate)
        for i, row in enumerate(watch):
            last = i == len(watch) - 1
            flags = Flag.NONE if len(watch) == 1 else Flag.SPAN if last else Flag.PART
            yield Instruction(
                kind=Kind.COUNT, read=plan.hold(row, self.bank), slot=slot, flags=flags, gate=gate
            )

    def _probe(self, plan: RowPlan, act: Act, *, counted: bool) -> Instruction:
        bound = plan.bounds[act.bound]
        gate = bound.intervention.gate
        assert bound.each is not None
        assert gate is not None
        slot = plan.gate_slot(act.bound, self.ledger)
        below = Flag.BELOW if gate.test == "below" else Flag.NONE
        return Instruction(
            kind=Kind.PROBE,
            read=plan.hold(bound.each.direction, self.bank),
            slot=slot if counted else 0,
            flags=_MEASURES[gate.measure] | below,
            gate=plan.registers[act.bound],
            a=gate.threshold,
        )


def _points(plan: RowPlan, acts: Sequence[Act]) -> list[Point]:
    found: dict[Point, None] = {}
    for act in acts:
        bound = plan.bounds[act.bound]
        if bound.each is not None:
            found[bound.each.point] = None
        found.update(dict.fromkeys((bound.intervention.site, layer) for layer in bound.terms))
    return list(found)


def _groups(plan: RowPlan, point: Point, acts: Sequence[Act]) -> list[list[Act]]:
    """Acts of a point in order; adjacent ones that are summed stand together."""
    groups: list[list[Act]] = []
    for act in acts:
        bound = plan.bounds[act.bound]
        if not _touches(bound, point):
            continue
        joined = joins(bound.intervention)
        if groups and joined and joins(plan.bounds[groups[-1][-1].bound].intervention):
            groups[-1].append(act)
        else:
            groups.append([act])
    return groups


def _touches(bound: Bound, point: Point) -> bool:
    written = bound.intervention.site == point[0] and point[1] in bound.terms
    return written or (bound.each is not None and bound.each.point == point)


def _total(total: dict[object, float], rows: dict[object, Row]) -> Row:
    """The weighted sum of rows, in fp64, in an order of its own."""
    order = sorted(total, key=repr)
    values_D = torch.zeros_like(rows[order[0]].values_D, dtype=torch.float64)
    for key in order:
        values_D += total[key] * rows[key].values_D.double()
    return Row(("sum", tuple((key, total[key]) for key in order)), values_D)


def _of(term: Term, act: Act) -> Sequence[Part]:
    if term.by_row:
        flags = Flag.WHOLE if term.mask is None else Flag.NONE
        return (Part(kind=Kind.OVERWRITE, read=term.mask, write=term.by_row[act.row], flags=flags),)
    return term.parts
