"""From counted writes to receipts; planned and counted must agree, or the result is not believed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from symposia.core.errors import InterventionNotApplied
from symposia.core.positions import runs
from symposia.core.receipt import History, LayerReceipt, Receipt, TokenCounts
from symposia.core.value import digest, short

from .bank import Count, Ledger
from .plan import Bound, RowPlan


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
    keys = list(plan.slots)
    counts = dict(zip(keys, ledger.read([plan.slots[key] for key in keys]), strict=True))
    return tuple(_receipt(plan, i, bound, done, counts) for i, bound in enumerate(plan.bounds))


def _receipt(
    plan: RowPlan, index: int, bound: Bound, done: Forwarded, counts: dict[tuple[int, int], Count]
) -> Receipt:
    selected = [p for p in range(done.fed) if index in plan.writes[p]]
    written = len(selected) - sum(p in done.reused for p in selected)
    layers = []
    for layer in sorted(bound.terms):
        count = counts.get((index, layer), Count(0, 0.0, 0.0, 0.0, 0.0, 0.0))
        _believe(bound, layer, written, count, strong=(index, layer) in plan.strong)
        if written:
            layers.append(_layer(layer, count))
    return Receipt(
        intervention=digest(bound.intervention),
        name=bound.intervention.name,
        op=type(bound.intervention).__name__.lower(),
        vector=bound.vector,
        site=bound.intervention.site,
        status="applied" if selected else "missed",
        history=done.policy if bound.past_turn is None else "keep",
        tokens=_tokens(selected, plan.n_prompt, done),
        runs=runs(selected),
        layers=tuple(layers),
        template_differs=bound.template_differs,
    )


def _tokens(selected: Sequence[int], n_prompt: int, done: Forwarded) -> TokenCounts:
    history = [p for p in selected if p in done.history]
    reused = sum(p in done.reused for p in selected)
    generated = sum(p >= n_prompt for p in selected)
    return TokenCounts(
        given=len(selected) - len(history) - generated,
        history=len(history),
        generated=generated,
        reused=reused,
        recomputed=sum(p not in done.reused for p in history),
    )


def _layer(layer: int, count: Count) -> LayerReceipt:
    n = count.tokens
    return LayerReceipt(
        layer=layer,
        tokens=n,
        norm=count.norm / n,
        delta_mean=count.delta / n,
        delta_max=count.peak,
        before=count.before / n,
        after=count.after / n,
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
