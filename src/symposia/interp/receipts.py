"""From counted writes to receipts; planned and counted must agree, or the result is not believed."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from symposia.core.errors import InterventionNotApplied
from symposia.core.positions import runs
from symposia.core.receipt import GateReading, History, LayerReceipt, Receipt, TokenCounts
from symposia.core.value import short

from .bank import Count, Ledger
from .plan import Bound, RowPlan

_NONE = Count(0, 0.0, 0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True, kw_only=True)
class Forwarded:
    """What a request's forwards covered: positions `[0, fed)`, less those `reused` from the cache.

    `history` are positions of the reader's own earlier turns.
    """

    fed: int
    reused: frozenset[int]
    history: frozenset[int]
    policy: History


def receipts(plan: RowPlan, done: Forwarded, ledger: Ledger) -> tuple[Receipt, ...]:
    """One receipt per intervention, in list order. Raises `InterventionNotApplied`."""
    if not plan.bounds:
        return ()
    counts = dict(zip(plan.slots, ledger.read(list(plan.slots.values())), strict=True))
    gates = dict(zip(plan.gate_slots, ledger.read(list(plan.gate_slots.values())), strict=True))
    return tuple(
        _receipt(plan, i, selected, done, counts, gates.get(i, _NONE))
        for i, selected in enumerate(plan.selected(done.fed))
    )


def _receipt(
    plan: RowPlan,
    index: int,
    selected: Sequence[int],
    done: Forwarded,
    counts: dict[tuple[int, int], Count],
    probed: Count,
) -> Receipt:
    bound = plan.bounds[index]
    forwarded = len(selected) - len(done.reused.intersection(selected))
    gate, written = _gated(bound, forwarded, probed)
    layers = []
    for layer, term in sorted(bound.terms.items()):
        count = counts.get((index, layer), _NONE)
        _believe(bound, layer, written, count, strong=(index, layer) in plan.strong)
        if written:
            layers.append(_layer(layer, count, watched=bool(term.watch)))
    return Receipt(
        intervention=bound.digest,
        name=bound.intervention.name,
        op=type(bound.intervention).__name__.lower(),
        vector=bound.vector,
        site=bound.intervention.site,
        status=_status(bound, selected, gate),
        history=done.policy if bound.past_turn is None else "keep",
        tokens=_tokens(selected, plan.n_prompt, done),
        runs=runs(selected),
        layers=tuple(layers),
        gate=gate,
        template_differs=bound.template_differs,
    )


def _gated(bound: Bound, forwarded: int, probed: Count) -> tuple[GateReading | None, int]:
    """What the gate said, and how many of the forwarded positions were to be written."""
    gate = bound.intervention.gate
    if gate is None:
        return None, forwarded
    if bound.each is not None:
        if probed.tokens != forwarded:
            raise InterventionNotApplied(
                f"gate of {short(bound.vector)}: planned {forwarded} decisions; counted {probed.tokens}"
            )
        n_open = int(probed.delta)
        mean = probed.norm / probed.tokens if probed.tokens else 0.0
        return GateReading(score=mean, threshold=gate.threshold, open=n_open > 0), n_open
    reading = bound.pooled.reading if bound.pooled is not None else None
    return reading, forwarded if reading is not None and reading.open else 0


def _status(
    bound: Bound, selected: Sequence[int], gate: GateReading | None
) -> Literal["applied", "gated_off", "missed"]:
    if not selected or not set(bound.pairs) <= {*selected}:
        return "missed"  # also by a pair that was never reached
    return "gated_off" if gate is not None and not gate.open else "applied"


def _tokens(selected: Sequence[int], n_prompt: int, done: Forwarded) -> TokenCounts:
    history = done.history.intersection(selected)
    generated = len(selected) - bisect_left(selected, n_prompt)
    return TokenCounts(
        given=len(selected) - len(history) - generated,
        history=len(history),
        generated=generated,
        reused=len(done.reused.intersection(selected)),
        recomputed=len(history - done.reused),
    )


def _layer(layer: int, count: Count, *, watched: bool) -> LayerReceipt:
    n = count.tokens
    return LayerReceipt(
        layer=layer,
        tokens=n,
        norm=count.norm / n,
        delta_mean=count.delta / n,
        delta_max=count.peak,
        before=count.before / n if watched else None,
        after=count.after / n if watched else None,
    )


def _believe(bound: Bound, layer: int, planned: int, count: Count, *, strong: bool) -> None:
    what = f"{type(bound.intervention).__name__.lower()} of {short(bound.vector)} at {bound.intervention.site} {layer}"
    if planned != count.tokens:
        raise InterventionNotApplied(f"{what}: planned {planned} tokens; counted {count.tokens} written")
    if not all(map(math.isfinite, (count.norm, count.delta, count.before, count.after))):
        raise InterventionNotApplied(f"{what}: the residual or the change is not finite")
    if strong and planned and count.delta == 0.0:
        raise InterventionNotApplied(
            f"{what}: {planned} tokens written, none changed; the step is too small for the dtype"
        )
