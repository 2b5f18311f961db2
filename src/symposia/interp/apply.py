"""One forward's work at every site: `before` captures, interventions in order, `after` captures.

Axes: T tokens of the flat batch, N captured ones, D residual width, G gate registers. A step with nothing to do at a
site returns the very tensor it was given.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from symposia.core.errors import InterventionNotApplied

from .gates import PooledGate
from .kit import Kit
from .layout import Group, Layout, SiteWork
from .plan import Point
from .planner import RowStep

_NOTHING = SiteWork()


@dataclass
class _Deciding:
    """Some positions of a gate that pools, and the row's tokens that it governs in this step."""

    gate: PooledGate
    tokens: list[int]
    positions: list[int]
    governed: slice
    register: int


class StepWork:
    """Everything one forward has to write and read. Build it from the rows, pass every site through `visit`.

    A runner may do by itself what `layout` says of sites where no gate is `deciding`, and say so with `done` after.
    """

    def __init__(self, rows: Sequence[RowStep], kit: Kit) -> None:
        self._kit = kit
        self.layout: Layout = kit.planner.layout(rows)
        self.points = self.layout.points
        """Sites and layers that must be visited."""
        self._deciding: dict[Point, list[_Deciding]] = defaultdict(list)
        gated = [row for row in rows if row.plan.registers]
        for row in gated:
            self._plan_gates(row)
        if self._deciding:
            self.points |= self._deciding.keys()
        self.registers = max((len(row.plan.registers) for row in gated), default=0)
        """Gates that a row has, at most."""
        self._gates_TG = torch.empty(0)
        self._visited: set[Point] = set()
        self._written: frozenset[Point] = frozenset()

    @property
    def kit(self) -> Kit:
        """Where bank and ledger are."""
        return self._kit

    @property
    def deciding(self) -> frozenset[Point]:
        """Where a gate looks at rows to decide."""
        return frozenset(self._deciding)

    def within(self, layer: int) -> bool:
        """Whether something is wanted within a layer's attention."""
        return layer in self.layout.within

    @property
    def logit_tokens(self) -> list[int]:
        """Flat tokens whose logits a capture wants."""
        return self.tokens_at(("logits", None))

    def tokens_at(self, point: Point) -> list[int]:
        """Flat tokens that a capture wants at a site that is computed on demand."""
        site = self.layout.sites.get(point)
        return sorted({t for group in site.groups for t in group.tokens}) if site else []

    def visit(self, point: Point, hidden_TD: Tensor, *, owned: bool = False) -> Tensor:
        """What continues from this site. `owned`: contiguous rows that may be written in place."""
        if point not in self.points:
            return hidden_TD
        site = self.layout.sites.get(point, _NOTHING)
        self._visited.add(point)
        _take(site.groups, point[1], hidden_TD, before=True)
        if site.code is not None and point not in self._written:
            gates_TG = self.gates(len(hidden_TD))
            hidden_TD = self._kit.writer.write(hidden_TD, site.code, gates_TG, owned=owned)
        for one in self._deciding.get(point, ()):
            self._decide(one, hidden_TD)
        _take(site.groups, point[1], hidden_TD, before=False)
        return hidden_TD

    def written(self, points: frozenset[Point]) -> None:
        """The runner writes at these by itself: visits only read there."""
        self._written = points

    def done(self, points: Iterable[Point]) -> None:
        """The runner has written and read there by itself, as a visit would have."""
        self._visited.update(points)

    def settle(self) -> None:
        """After the forward: what was read is the rows' now.

        `InterventionNotApplied` if it never came by a site that had to be visited.
        """
        if missed := sorted(self.points - self._visited, key=str):
            places = ", ".join(f"{site} {layer}" for site, layer in missed)
            raise InterventionNotApplied(
                f"the forward never passed {places}: nothing was written or read there"
            )
        for group in self.layout.groups:
            group.settle()

    def visit_logits(self, tokens: list[int], logits_NV: Tensor) -> None:
        """Hand over logits of some flat tokens; captures pick theirs."""
        self.visit_rows(("logits", None), tokens, logits_NV)

    def visit_rows(self, point: Point, tokens: list[int], rows: Tensor) -> None:
        """Hand over what was computed for some flat tokens, `[N, ...]`; captures pick theirs."""
        site = self.layout.sites.get(point)
        if site is None:
            return
        self._visited.add(point)
        row_of = {token: i for i, token in enumerate(tokens)}
        for group in site.groups:
            group.put(point[1], rows[[row_of[t] for t in group.tokens]])

    def gates(self, tokens: int) -> Tensor | None:
        """This step's registers, all open at first; None if no row has a gate."""
        if not self.registers:
            return None
        if len(self._gates_TG) != tokens:
            self._gates_TG = torch.ones(tokens, self.registers + 1, dtype=self._kit.bank.rows_KD.dtype)
            self._gates_TG = self._gates_TG.to(self._kit.bank.rows_KD.device)
        return self._gates_TG

    def _plan_gates(self, row: RowStep) -> None:
        for index, register in row.plan.registers.items():
            gate = row.plan.bounds[index].pooled
            if gate is None or gate.reading is not None:
                continue
            positions = [p for p in gate.needed if max(row.start, row.fresh) <= p < row.stop]
            if positions:
                tokens = [row.offset + p - row.start for p in positions]
                governed = slice(row.offset, row.offset + row.stop - row.start)
                one = _Deciding(gate, tokens, positions, governed, register)
                self._deciding["resid_post", gate.gate.layer].append(one)

    def _decide(self, one: _Deciding, hidden_TD: Tensor) -> None:
        one.gate.take(one.positions, hidden_TD[one.tokens].to(self._kit.bank.rows_KD.dtype))
        gates_TG = self.gates(len(hidden_TD))
        if one.gate.reading is not None and gates_TG is not None:
            gates_TG[one.governed, one.register] = float(one.gate.reading.open)


def _take(groups: Sequence[Group], layer: int | None, hidden_TD: Tensor, *, before: bool) -> None:
    for group in groups:
        if group.before == before:
            group.take(layer, hidden_TD)
