"""Two runs made ready for patching: rows of one kept, positions aligned, both scored.

Every cell is an ordinary request with one `replace`, all of them in the engine's one batch; the rows come from a single
reading request.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import msgspec
import torch
from torch import Tensor

from symposia.core.capture import ActivationRef, Capture, Site
from symposia.core.errors import InvalidInput
from symposia.core.intervention import Replace
from symposia.core.positions import everything
from symposia.core.request import Request

from .align import Alignment, AlignmentError, Sided, align, window
from .grid import Cell, Grid, How, cells
from .metric import Metric, Model, Scorer
from .readings import Token

_FLAT = 1e-6
_BY_HEAD: tuple[Site, ...] = ("z", "q", "k", "v")


@dataclass(frozen=True)
class Case:
    """`pairs[to]` is the source position of a target position; `refs` the source's rows by place.

    `clean`, `corrupt` and `base` are the metric of those runs and of the target's.
    """

    target: Request
    model: Model
    scorer: Scorer
    ours: Sided
    sites: tuple[Site, ...]
    layers: tuple[int, ...]
    heads: tuple[int, ...]
    columns: tuple[tuple[int, ...], ...]
    pairs: dict[int, int]
    refs: dict[tuple[Site, int | None], ActivationRef]
    clean: float
    corrupt: float
    base: float

    @property
    def cells(self) -> list[Cell]:
        """Every cell."""
        return cells(self.sites, self.layers, len(self.columns), self.heads)

    def replace(self, cell: Cell) -> Replace:
        """The cell as an intervention on the target."""
        column = self.columns[cell.column]
        return Replace(
            source=self.refs[cell.site, cell.layer],
            site=cell.site,
            pairs=tuple((self.pairs[to], to) for to in column),
            heads=() if cell.head is None else (cell.head,),
        )

    async def exact(self, chosen: Sequence[Cell]) -> Tensor:
        """The value of each cell, run by run."""
        asked = [
            msgspec.structs.replace(self.target, interventions=(*self.target.interventions, self.replace(c)))
            for c in chosen
        ]
        found = await asyncio.gather(*map(self.scorer.score, asked))
        return self.scaled(torch.tensor(found, dtype=torch.float64))

    def scaled(self, metrics: Tensor) -> Tensor:
        """1 for the clean run's metric, 0 for the corrupt run's."""
        return (metrics - self.corrupt) / (self.clean - self.corrupt)

    def grid(self, values: Tensor) -> Grid:
        """Values of all cells as a grid."""
        shape = (len(self.sites), len(self.layers), len(self.columns), len(self.heads) or 1)
        return Grid(
            values.view(shape),
            self.sites,
            self.layers,
            self.columns,
            self.clean,
            self.corrupt,
            self.heads,
            self._tokens(),
            "restore" if self.base == self.corrupt else "break",
        )

    def _tokens(self) -> tuple[Token, ...]:
        span_of = {p: span for span in self.ours.spans for p in range(span.start, span.stop)}
        written = sorted({p for column in self.columns for p in column})
        if not self.ours.texts:
            return ()
        return tuple(Token(p, self.ours.token_ids[p], self.ours.texts[p], span_of[p]) for p in written)


@asynccontextmanager
async def prepared(
    clean: Request,
    corrupt: Request,
    metric: Metric,
    *,
    model: Model,
    places: tuple[Iterable[Site], Iterable[int]],
    how: How,
) -> AsyncIterator[Case]:
    """The case of two runs; the rows kept for it are dropped at the end. `places` are sites and layers.

    Raises `AlignmentError`; `InvalidInput` if the runs do not differ by the metric.
    """
    sites, layers = tuple(places[0]), tuple(places[1])
    if how.heads and (strange := [site for site in sites if site not in _BY_HEAD]):
        raise InvalidInput(f"heads narrow {', '.join(_BY_HEAD)}; got {strange[0]}")
    source, target = (clean, corrupt) if how.mode == "restore" else (corrupt, clean)
    capture = tuple(Capture(site=site, layers=layers, where=everything()) for site in sites)
    kept, base = await asyncio.gather(model.read(source, capture), model.read(target, ()))
    try:
        theirs, ours = Sided.of(kept, model.spells), Sided.of(base, model.spells)
        found = align(theirs, ours, how.rule)
        columns = _columns(how, found, theirs, ours)
        scorer = await Scorer.of(metric, clean, model)
        m_clean, m_corrupt = await scorer.score(clean), await scorer.score(corrupt)
        if abs(m_clean - m_corrupt) < _FLAT:
            raise InvalidInput(
                f"clean and corrupt runs do not differ: {m_clean:.6g} and {m_corrupt:.6g}; choose another metric"
            )
        yield Case(
            target=target,
            model=model,
            scorer=scorer,
            ours=ours,
            sites=sites,
            layers=layers,
            heads=tuple(how.heads),
            columns=columns,
            pairs={to: p for p, to in found.pairs},
            refs={(ref.site, ref.layer): ref for ref in kept.activations},
            clean=m_clean,
            corrupt=m_corrupt,
            base=m_corrupt if how.mode == "restore" else m_clean,
        )
    finally:
        model.store.drop(kept.activations)


def _columns(how: How, found: Alignment, theirs: Sided, ours: Sided) -> tuple[tuple[int, ...], ...]:
    if how.columns is None:
        return tuple((to,) for _, to in found.pairs)
    known = {to for _, to in found.pairs}
    if strange := sorted({p for column in how.columns for p in column} - known):
        p = strange[0]
        why = f"has no counterpart by {how.rule!r}" if p < len(ours.token_ids) else "is out of range"
        raise AlignmentError(
            f"position {p} {why}: target {window(ours, p)}, source {window(theirs, p)}; aligned positions: "
            f"{sorted(known)}"
        )
    return how.columns
