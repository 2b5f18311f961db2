"""One forward's work at every site: `before` captures, interventions in order, `after` captures.

Axes: T tokens of the flat batch, W written tokens of a site, D residual width. A step with nothing to do at a site
returns the very tensor it was given.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from symposia.core.capture import Keep, Pool
from symposia.core.errors import InterventionNotApplied

from .bank import Bank, Ledger
from .ops import ablated
from .plan import Ablated, Added, BoundCapture, Element, Point, RowPlan
from .reads import Reads, by_head
from .taps import WITHIN

_DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32}


@dataclass(frozen=True)
class RowStep:
    """A row's part of a batch: positions `[start, stop)` lie at flat tokens from `offset` on.

    Positions below `fresh` were forwarded before (a preempted row): written again, but neither counted nor read.
    """

    plan: RowPlan
    start: int
    stop: int
    offset: int
    fresh: int


@dataclass
class _Pass:
    """The j-th element of each token's list, by kind; numbers are rows among the site's written tokens."""

    adds: list[tuple[int, Added]] = field(default_factory=list)
    ablates: dict[int, tuple[Ablated, list[int]]] = field(default_factory=dict)
    ablate_slots: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    add_stats: list[tuple[int, int, int]] = field(default_factory=list)  # written row, unit's bank row, slot

    def place(self, row: int, element: Element, slots: tuple[int, ...]) -> None:
        if isinstance(element, Added):
            self.adds.append((row, element))
            self.add_stats.extend((row, unit, slot) for unit, slot in zip(element.units, slots, strict=True))
        else:
            self.ablates.setdefault(id(element), (element, []))[1].append(row)
            self.ablate_slots.setdefault(id(element), []).append((row, slots[0]))


@dataclass
class _Read:
    bound: BoundCapture
    buffer: Reads
    layer: int | None
    tokens: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)


@dataclass
class _Site:
    tokens: list[int] = field(default_factory=list)
    passes: list[_Pass] = field(default_factory=list)
    reads: list[_Read] = field(default_factory=list)


class StepWork:
    """Everything one forward has to write and read. Build it from the rows, pass every site through `visit`."""

    def __init__(self, rows: Iterable[RowStep], bank: Bank, ledger: Ledger) -> None:
        self._bank, self._ledger = bank, ledger
        self._visited: set[Point] = set()
        self._sites: dict[Point, _Site] = defaultdict(_Site)
        for row in rows:
            if not row.plan.idle:
                self._plan_writes(row)
                self._plan_reads(row)
        self._within = {layer for site, layer in self._sites if site in WITHIN}

    @property
    def points(self) -> frozenset[Point]:
        """Sites and layers that must be visited."""
        return frozenset(self._sites)

    def within(self, layer: int) -> bool:
        """Whether something is wanted within a layer's attention."""
        return layer in self._within

    @property
    def logit_tokens(self) -> list[int]:
        """Flat tokens whose logits a capture wants."""
        return self.tokens_at(("logits", None))

    def tokens_at(self, point: Point) -> list[int]:
        """Flat tokens that a capture wants at a site that is computed on demand."""
        site = self._sites.get(point)
        return sorted({t for read in site.reads for t in read.tokens}) if site else []

    def visit(self, point: Point, hidden_TD: Tensor) -> Tensor:
        """What continues from this site."""
        site = self._sites.get(point)
        if site is None:
            return hidden_TD
        self._visited.add(point)
        _copy_out(site.reads, "before", hidden_TD)
        if site.tokens:
            hidden_TD = self._write(site, hidden_TD)
        _copy_out(site.reads, "after", hidden_TD)
        return hidden_TD

    def check_visited(self) -> None:
        """After the forward: `InterventionNotApplied` if it never came by a site that had to be visited."""
        if missed := sorted(self.points - self._visited, key=str):
            places = ", ".join(f"{site} {layer}" for site, layer in missed)
            raise InterventionNotApplied(
                f"the forward never passed {places}: nothing was written or read there"
            )

    def visit_logits(self, tokens: list[int], logits_NV: Tensor) -> None:
        """Hand over logits of some flat tokens; captures pick theirs."""
        self.visit_rows(("logits", None), tokens, logits_NV)

    def visit_rows(self, point: Point, tokens: list[int], rows: Tensor) -> None:
        """Hand over what was computed for some flat tokens, `[N, ...]`; captures pick theirs."""
        site = self._sites.get(point)
        if site is None:
            return
        self._visited.add(point)
        row_of = {token: i for i, token in enumerate(tokens)}
        for read in site.reads:
            read.tokens = [row_of[t] for t in read.tokens]
        _copy_out(site.reads, None, rows)

    def _plan_writes(self, row: RowStep) -> None:
        for point in row.plan.write_points:
            for position in range(row.start, row.stop):
                acting = row.plan.acting(point, position)
                if acting:
                    self._place(row, point, position, acting)

    def _place(self, row: RowStep, point: Point, position: int, acting: tuple[int, ...]) -> None:
        site = self._sites[point]
        elements = row.plan.elements(point, acting, self._bank, self._ledger)
        written = len(site.tokens)
        site.tokens.append(row.offset + position - row.start)
        layer = point[1]
        assert layer is not None
        for depth, element in enumerate(elements):
            if depth == len(site.passes):
                site.passes.append(_Pass())
            counted = position >= row.fresh
            slots = tuple(row.plan.slots[i, layer] if counted else 0 for i in element.members)
            site.passes[depth].place(written, element, slots)

    def _plan_reads(self, row: RowStep) -> None:
        plan = row.plan
        found: dict[int, list[int]] = defaultdict(list)
        for position in range(max(row.start, row.fresh), row.stop):
            for i in plan.reads[position]:
                found[i].append(position)
        for i, positions in found.items():
            bound = plan.captures[i]
            tokens = [row.offset + p - row.start for p in positions]
            for layer in bound.layers:
                read = _Read(bound, plan.buffers[i, layer], layer, list(tokens), positions)
                self._sites[bound.capture.site, layer].reads.append(read)

    def _write(self, site: _Site, hidden_TD: Tensor) -> Tensor:
        index_W = torch.tensor(site.tokens, device=hidden_TD.device)
        h_WD = hidden_TD.index_select(0, index_W).to(self._bank.rows_KD.dtype)
        was_WD = h_WD
        for step in site.passes:
            h_WD = self._advance(step, h_WD)
            is_WD = h_WD.to(hidden_TD.dtype).to(h_WD.dtype)  # what would be written now, after the cast
            self._count(step, was_WD, is_WD)
            was_WD = is_WD
        return hidden_TD.index_copy(0, index_W, h_WD.to(hidden_TD.dtype))

    def _advance(self, step: _Pass, h_WD: Tensor) -> Tensor:
        rows_KD = self._bank.rows(h_WD.shape[1])
        real = [(w, added) for w, added in step.adds if not added.zero]
        out_WD = h_WD.clone()
        if real:
            at_N = torch.tensor([w for w, _ in real], device=h_WD.device)
            h_ND = h_WD[at_N]
            total_ND = rows_KD[[added.constant for _, added in real]]
            if any(added.relative for _, added in real):
                total_ND = (
                    total_ND + h_ND.norm(dim=1, keepdim=True) * rows_KD[[added.relative for _, added in real]]
                )
            out_WD[at_N] = h_ND + total_ND
        for element, at in step.ablates.values():
            out_WD[at] = ablated(h_WD[at], element.term, element.basis_kD)
        return out_WD

    def _count(self, step: _Pass, was_WD: Tensor, is_WD: Tensor) -> None:
        norm_W, delta_W = was_WD.norm(dim=1), (is_WD - was_WD).norm(dim=1)
        if step.add_stats:
            at = [w for w, _, _ in step.add_stats]
            units_ND = self._bank.rows(was_WD.shape[1])[[unit for _, unit, _ in step.add_stats]]
            before_N, after_N = (was_WD[at] * units_ND).sum(dim=1), (is_WD[at] * units_ND).sum(dim=1)
            entries = torch.stack([norm_W[at], delta_W[at], before_N, after_N], dim=1)
            self._ledger.add([slot for _, _, slot in step.add_stats], entries)
        for key, (element, _) in step.ablates.items():
            at = [w for w, _ in step.ablate_slots[key]]
            before_N, after_N = (_part(x[at], element.basis_kD) for x in (was_WD, is_WD))
            entries = torch.stack([norm_W[at], delta_W[at], before_N, after_N], dim=1)
            self._ledger.add([slot for _, slot in step.ablate_slots[key]], entries)


def _part(h_ND: Tensor, basis_kD: Tensor) -> Tensor:
    """Projection on a direction, or length of the part in a subspace."""
    s_Nk = h_ND @ basis_kD.T
    return s_Nk[:, 0] if s_Nk.shape[1] == 1 else s_Nk.norm(dim=1)


def _copy_out(reads: list[_Read], at: str | None, hidden_TD: Tensor) -> None:
    for read in reads:
        if at is not None and read.bound.capture.at != at:
            continue
        rows_ND = hidden_TD[torch.tensor(read.tokens, device=hidden_TD.device)]  # an owned copy
        if read.bound.capture.site == "pattern":
            rows_ND = rows_ND[..., : max(read.positions) + 1]  # no key after the last row's own
        read.buffer.append(read.positions, _reduced(read, rows_ND))


def _reduced(read: _Read, rows_ND: Tensor) -> Tensor:
    bound = read.bound
    match bound.capture.reduce:
        case Keep() | Pool():
            wanted = _DTYPES.get(bound.capture.dtype)
            kept = by_head(rows_ND, bound.heads.get(read.layer, 0), bound.capture.heads)
            return kept if wanted is None else kept.to(wanted)
        case project:
            assert read.layer is not None
            work_ND = rows_ND if rows_ND.dtype == torch.float64 else rows_ND.float()
            unit_D = bound.vector[read.layer].to(work_ND)
            s_N = work_ND @ unit_D
            return s_N / work_ND.norm(dim=1).clamp_min(1e-12) if project.measure == "cosine" else s_N
