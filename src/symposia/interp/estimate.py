"""Attribution patching (Nanda 2023; arXiv 2310.10348): every cell at once, to first order, by one backward pass.

(h_source - h_target)·∂m/∂h_target at each cell, from one forward and backward of the target on the lent module. What it
is worth is measured, not assumed: some cells are run exactly, and the correlation is part of the answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from symposia.core.capture import Site
from symposia.core.errors import ArchitectureNotUnderstood, UnsupportedRequest
from symposia.core.positions import members
from symposia.core.request import Request

from .anatomy import dissect
from .case import Case, prepared
from .gradient import Judge, Point, Slopes, check_reached, slopes
from .grid import Cell, Grid, How
from .metric import KlToClean, LogitDiff, Logprob, Metric, Model, ReadoutOf, Scorer

CHECKED = 20
_APART = 0.05


@dataclass(frozen=True)
class Estimate:
    """`grid` is to first order. `checked` cells were run as well: estimated and exact values, their correlation.

    `correlation` is Pearson's; None where either does not vary.
    """

    grid: Grid
    checked: tuple[tuple[Cell, float, float], ...]
    correlation: float | None

    def __str__(self) -> str:
        known = "not defined" if self.correlation is None else f"{self.correlation:.3f}"
        return f"{self.grid}\ncorrelation with {len(self.checked)} exact cells: {known}"


async def estimate(
    clean: Request,
    corrupt: Request,
    metric: Metric,
    *,
    model: Model,
    layers: Sequence[int],
    sites: Sequence[Site] = ("resid_post",),
    how: How = How(),
) -> Estimate:
    """The grid that `sweep` would give, estimated, and how well 20 of its cells agree with it.

    The requests must be without interventions: the plain module runs none. Raises as `sweep`, and
    `ArchitectureNotUnderstood` if the plain forward's metric is not the engine's.
    """
    inside = model.inside
    check_reached(sites, inside)
    if clean.interventions or corrupt.interventions:
        raise UnsupportedRequest(
            endpoint="estimate",
            model=inside.shape.name,
            feature="interventions",
            why="gradients are taken on the plain module",
            way_out="use patch.sweep, which runs every cell in the engine",
        )
    async with prepared(clean, corrupt, metric, model=model, places=(sites, layers), how=how) as case:
        values = case.scaled(_first_order(case))
        picked = torch.randperm(len(values), generator=torch.Generator().manual_seed(0))[:CHECKED].tolist()
        chosen = [case.cells[i] for i in picked]
        exact = await case.exact(chosen)
    return Estimate(
        case.grid(values),
        tuple(zip(chosen, values[picked].tolist(), exact.tolist(), strict=True)),
        _correlation(values[picked], exact),
    )


def _first_order(case: Case) -> Tensor:
    """The estimated metric of every cell, fp64."""
    inside, metric = case.model.inside, case.scorer.metric
    points: list[Point] = [(site, layer) for site in case.sites for layer in case.layers]
    if isinstance(metric, ReadoutOf):
        points = list(dict.fromkeys((*points, ("resid_post", metric.layer))))
    endings, judge = _judge(case.scorer, len(case.ours.token_ids))
    with inside.exclusive() as module:
        parts = dissect(module, inside.shape.type, inside.shape.layers, None)
        found = slopes(module, parts, case.ours.token_ids, endings, points, judge)
    if abs(found.metric - case.base) > _APART * max(1.0, abs(case.base)):
        raise ArchitectureNotUnderstood(
            f"{inside.shape.type}: the plain forward gives a metric of {found.metric:.6g}; the engine {case.base:.6g}"
        )
    changes = {point: _changes(case, point, found) for point in points if point in case.refs}
    place: dict[int | None, int] = {head: i for i, head in enumerate(case.heads)}
    values = [
        found.metric
        + sum(float(changes[c.site, c.layer][p][place.get(c.head, 0)]) for p in case.columns[c.column])
        for c in case.cells
    ]
    return torch.tensor(values, dtype=torch.float64)


def _changes(case: Case, point: Point, found: Slopes) -> dict[int, Tensor]:
    """By target position, what its source row would change `[H]`: by head if heads are asked for."""
    rows = case.model.store.at(case.refs[point])
    at = {p: i for i, p in enumerate(members(case.refs[point].runs))}
    states_nX, slopes_nX = found.states[point], found.slopes[point]
    heads = case.model.inside.site_map.heads_at(*point) if case.heads else 1
    changes = {}
    for to, start in case.pairs.items():
        moved_X = rows[at[start]].flatten().to(states_nX) - states_nX[to]
        by_head = (_wide(moved_X) * _wide(slopes_nX[to])).view(heads, -1).sum(-1)
        changes[to] = by_head[list(case.heads)] if case.heads else by_head
    return changes


def _judge(scorer: Scorer, n: int) -> tuple[list[tuple[int, ...]], Judge]:
    """The endings that the metric needs forwards of, and the metric of their logits and states at n positions."""
    match scorer.metric:
        case LogitDiff(a=a, b=b):
            return _continued(scorer, {a: 1.0, b: -1.0})
        case Logprob(text=text):
            return _continued(scorer, {text: 1.0})
        case KlToClean():
            clean_V = scorer.clean_V
            assert clean_V is not None

            def divergence(logits: Sequence[Tensor], states: Mapping[Point, Tensor]) -> Tensor:
                del states
                own_V = _logp(logits[0][0])
                known_V = clean_V.to(own_V)
                return -(known_V.exp() * (known_V - own_V)).sum()

            return [()], divergence
        case ReadoutOf(vector=vector, layer=layer):
            unit_D = scorer.model.library.find(vector).units(layer)[0]

            def projection(logits: Sequence[Tensor], states: Mapping[Point, Tensor]) -> Tensor:
                del logits
                h_D = states["resid_post", layer][0, n - 1]
                return (h_D * unit_D.to(h_D)).sum()

            return [()], projection


def _continued(scorer: Scorer, texts: Mapping[str, float]) -> tuple[list[tuple[int, ...]], Judge]:
    """The weighted sum of log-probabilities of some continuations."""
    inside = scorer.model.inside
    ids = {text: inside.tokens_of(text) for text in texts}
    endings = list(dict.fromkeys(each[:-1] for each in ids.values()))

    def scored(logits: Sequence[Tensor], states: Mapping[Point, Tensor]) -> Tensor:
        del states
        total = torch.zeros((), device=logits[0].device)
        for text, weight in texts.items():
            logp_nV = _logp(logits[endings.index(ids[text][:-1])])
            own_n1 = torch.tensor(ids[text], device=logp_nV.device)[:, None]
            total = total + weight * logp_nV.gather(1, own_n1).sum()
        return total

    return endings, scored


def _logp(logits: Tensor) -> Tensor:
    return _wide(logits).log_softmax(dim=-1)


def _wide(x: Tensor) -> Tensor:
    """fp32 at least."""
    return x if x.dtype == torch.float64 else x.float()


def _correlation(estimated: Tensor, exact: Tensor) -> float | None:
    if len(exact) < 2 or float(estimated.std()) == 0.0 or float(exact.std()) == 0.0:
        return None
    return float(torch.corrcoef(torch.stack([estimated, exact]))[0, 1])
