"""The decode step of the lean forward, recorded once for each size of batch and replayed, residual taps included.

A step that a recording cannot compute runs as always: `run` returns None, `eager` counts why.
Axes: R rows of a recording, B rows of a batch, D the residual's width, V vocabulary.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from symposia.engine.kernels.tables import Grid
from symposia.engine.runner import Batch
from symposia.engine.runner.attention import Fixed, KvStore
from symposia.interp.apply import StepWork
from symposia.interp.bank import Bank, Ledger
from symposia.interp.kernels.planned import codes as codes_at
from symposia.interp.kernels.planned import reading
from symposia.interp.kernels.planned import why_not as why_not_work
from symposia.interp.kernels.taps import REGISTERS, Tables, Taps, tap_of

from .inputs import Inputs, laid
from .plan import bucket_of, buckets, why_not
from .recorder import Recorder, Recording

Forward = Callable[[Tensor, Tensor, Fixed, Taps], Tensor]
"""Logits of all rows from token ids, positions, what attention reads, and the taps."""


@dataclass(frozen=True, kw_only=True)
class Scope:
    """What recordings are of: a forward over a store, for at most `rows` rows of `blocks` blocks each."""

    forward: Forward
    store: KvStore
    grid: Grid
    recorder: Recorder
    like_1D: Tensor
    layers: int
    rows: int
    blocks: int


@dataclass(frozen=True, eq=False)
class _Recorded:
    inputs: Inputs
    taps: Taps
    recording: Recording


class Graphs:
    """Recordings for one bank and one ledger; made at first use, and anew when one of these has grown."""

    def __init__(self, scope: Scope, bank: Bank, ledger: Ledger) -> None:
        self._scope, self._bank, self._ledger = scope, bank, ledger
        self._sizes = buckets(scope.rows)
        self._tables: Tables | None = None
        self._recorded: dict[int, _Recorded] = {}
        self.replayed = 0
        self.eager: Counter[str] = Counter()

    def run(self, batch: Batch, work: StepWork) -> Tensor | None:
        """`logits_BV`, valid until the next replay; None if the step has to be computed otherwise."""
        reason = self._why_not(batch, work)
        if reason is None:
            logits_RV = self._replayed(batch, work)
            if logits_RV is not None:
                self.replayed += 1
                whole = batch.wanted == list(range(len(batch.rows)))
                return logits_RV[: len(batch.rows)] if whole else logits_RV[batch.wanted]
            reason = "too many instructions"
        self.eager[reason] += 1
        return None

    def _why_not(self, batch: Batch, work: StepWork) -> str | None:
        strange = {site for site, layer in work.points if tap_of((site, layer)) is None}
        if strange:
            return f"sites {', '.join(sorted(strange))}"
        found = why_not(batch, self._sizes, self._scope.blocks)
        return found or why_not_work(work, self._bank, REGISTERS)

    def _replayed(self, batch: Batch, work: StepWork) -> Tensor | None:
        size = bucket_of(len(batch.rows), self._sizes)
        assert size is not None
        recorded = self._of(size)
        points = {point: tap for point in work.points if (tap := tap_of(point)) is not None}
        read = reading(work, points)
        codes = codes_at(work, points)
        by_tap = {points[point]: code for point, code in codes.items()}
        wanted = frozenset(points[each] for each in read)
        if not recorded.taps.fill(by_tap, wanted, gated=work.registers > 0):
            return None
        work.written(frozenset(codes))
        recorded.inputs.send(laid(batch, size, self._scope.store.size, self._scope.store.waste))
        recorded.recording.replay()
        for point, tap in points.items():
            work.visit(point, recorded.taps.kept(tap, len(batch.rows)))
        return recorded.recording.output

    def _of(self, size: int) -> _Recorded:
        if self._tables is None or not self._tables.still(self._bank, self._ledger):
            like_1D, rows = self._scope.like_1D, self._scope.rows
            self._recorded = {}
            self._tables = Tables(like_1D, self._scope.layers, rows, bank=self._bank, ledger=self._ledger)
        if size not in self._recorded:
            self._recorded[size] = self._record(size, self._tables)
        return self._recorded[size]

    def _record(self, size: int, tables: Tables) -> _Recorded:
        """On empty rows, which write nothing that anybody reads."""
        scope = self._scope
        inputs = Inputs(size, scope.blocks, scope.store.waste, grid=scope.grid, device=scope.like_1D.device)
        taps = Taps(tables, size)
        step = Fixed(scope.store, inputs.slots_R, inputs.tables)

        def run() -> Tensor:
            return scope.forward(inputs.token_ids_R, inputs.positions_R, step, taps)

        return _Recorded(inputs, taps, scope.recorder.record(run))
