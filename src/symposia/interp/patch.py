"""Which states carry the difference between two runs: exact grids, their estimate by gradient, and transplants.

`sweep` runs every cell; `estimate` needs one forward and one backward; `transplant` gives a reader the states of
another branch or speaker, `mute` those of fillers, so that the conversation can be played on.
"""

from __future__ import annotations

from collections.abc import Sequence

from symposia.core.capture import Site
from symposia.core.request import Request

from .case import prepared
from .estimate import Estimate, estimate
from .grid import Cell, Grid, How
from .metric import KlToClean, LogitDiff, Logprob, Metric, Model, ReadoutOf
from .transplant import mute, transplant

__all__ = [
    "Cell",
    "Estimate",
    "Grid",
    "How",
    "KlToClean",
    "LogitDiff",
    "Logprob",
    "Metric",
    "Model",
    "ReadoutOf",
    "estimate",
    "mute",
    "sweep",
    "transplant",
]


async def sweep(
    clean: Request,
    corrupt: Request,
    metric: Metric,
    *,
    model: Model,
    layers: Sequence[int],
    sites: Sequence[Site] = ("resid_post",),
    how: How = How(),
) -> Grid:
    """The exact grid over sites, layers, columns of target positions, and heads if asked for.

    Raises `AlignmentError`; `InvalidInput` if clean and corrupt runs do not differ by the metric.
    """
    async with prepared(clean, corrupt, metric, model=model, places=(sites, layers), how=how) as case:
        return case.grid(await case.exact(case.cells))
