"""From buffered rows to what a completion carries: stored activations by reference, readouts as plain floats."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from symposia.core.capture import ActivationRef, Pool, Project, Readout, Run
from symposia.core.positions import runs

from .acts.record import Draft, Reduce, Source
from .acts.store import ActivationStore
from .plan import BoundCapture, RowPlan
from .reads import pool


def deliver(
    plan: RowPlan, stop: int, source: Source, store: ActivationStore
) -> tuple[tuple[ActivationRef, ...], tuple[Readout, ...]]:
    """Cut every buffer at position `stop`, then store or read out. Raises `ActivationWriteFailed`."""
    drafts: list[Draft] = []
    readouts: list[Readout] = []
    for number, (bound, buffer) in enumerate(zip(plan.captures, plan.buffers, strict=True)):
        reduce, positions = bound.capture.reduce, buffer.below(stop)
        covered = runs(positions)
        for layer in bound.layers:
            if isinstance(reduce, Project):
                assert layer is not None
                values_N = buffer.cut(layer, positions)
                readouts.append(_readout(bound, reduce, layer, positions, values_N))
            elif positions:
                rows = buffer.cut(layer, positions, by_key=bound.capture.site == "pattern")
                if isinstance(reduce, Pool):
                    pooled, rows = pool(reduce.by, positions, rows, source.spans)
                    drafts.append(_draft(number, bound, layer, rows, pooled, by=reduce.by))
                else:
                    drafts.append(_draft(number, bound, layer, rows, covered))
    return (store.put(source, drafts) if drafts else ()), tuple(readouts)


def _readout(
    bound: BoundCapture, reduce: Project, layer: int, positions: Sequence[int], values_N: Tensor
) -> Readout:
    assert bound.source is not None
    if reduce.measure == "zscore":
        spread = bound.source.notes(layer).projection
        assert spread is not None
        values_N = (values_N - spread.mean) / spread.sd
    elif reduce.measure == "probability":
        values_N = (values_N + float(bound.source.tensors[f"probe.{layer}.bias"])).sigmoid()
    return Readout(
        name=bound.capture.name,
        vector=reduce.vector,
        layer=layer,
        positions=tuple(positions),
        values=tuple(values_N.tolist()),
    )


def _draft(
    number: int,
    bound: BoundCapture,
    layer: int | None,
    rows: Tensor,
    covered: tuple[Run, ...],
    *,
    by: Reduce = "keep",
) -> Draft:
    capture = bound.capture
    return Draft(
        rows=rows,
        site=capture.site,
        layer=layer,
        runs=covered,
        name=capture.name,
        at=capture.at,
        reduce=by,
        capture=number,
    )
