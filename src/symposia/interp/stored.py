"""Stored rows, forward by forward: what one forward left at each site and layer, position by position."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from symposia.core.capture import Site
from symposia.core.errors import InvalidInput
from symposia.core.span import Span
from symposia.core.value import short

from .acts.answer import Activations
from .acts.record import AmbiguousActivation, NoActivation, Source
from .taps import ModelShape

Place = tuple[Site, int | None]


@dataclass(frozen=True)
class Forward:
    """`parts[site, layer]` are the rows of one forward there, as a query of their own."""

    source: Source
    parts: dict[Place, Activations]

    def layers(self, site: Site) -> tuple[int, ...]:
        """Layers at which a site is stored, rising."""
        return tuple(sorted(layer for own, layer in self.parts if own == site and layer is not None))

    def positions(self, site: Site, layer: int | None) -> tuple[int, ...]:
        """Positions stored there, rising; none if the place is not."""
        part = self.parts.get((site, layer))
        return () if part is None else tuple(row.position for row in part.tokens())

    def rows(self, site: Site, layer: int | None, positions: Sequence[int]) -> Tensor:
        """`[N, ...]`, a row a position. `NoActivation` names what was not captured."""
        at = {position: i for i, position in enumerate(self.positions(site, layer))}
        if missing := [p for p in positions if p not in at]:
            place = site if layer is None else f"{site} {layer}"
            raise NoActivation(
                f"{place} at position {missing[0]} of turn {self.source.about.turn} is not among the stored rows; "
                f"expected all of {len(positions)} positions there, {len(at)} are; capture it with the same `where`"
            )
        rows: Tensor = self.parts[site, layer].tensors()
        picked = [at[p] for p in positions]
        return rows if picked == list(range(len(rows))) else rows[picked]

    def span(self, position: int) -> Span:
        """Who wrote a position, in which phase."""
        return next(s for s in self.source.spans if s.start <= position < s.stop)


def forwards(acts: Activations, shape: ModelShape) -> list[Forward]:
    """The forwards of a model that left these rows, in order; pooled rows are of no position and left out.

    `InvalidInput` for rows of other weights: they mean nothing to these.
    """
    found: dict[Source, dict[Place, list[Activations]]] = defaultdict(lambda: defaultdict(list))
    for record in acts.records:
        if not record.pooled:
            found[record.source][record.ref.site, record.ref.layer].append(replace(acts, records=(record,)))
    if strange := sorted({source.model for source in found} - {shape.digest}):
        raise InvalidInput(
            f"expected rows of {shape.name} ({short(shape.digest)}); got some of {short(strange[0])}; query those of "
            "one model"
        )
    return [
        Forward(source, {place: _only(place, parts) for place, parts in places.items()})
        for source, places in found.items()
    ]


def _only(place: Place, parts: Iterable[Activations]) -> Activations:
    first, *more = parts
    if (
        len({part.records[0].ref.digest for part in (first, *more)}) > 1
    ):  # captured twice, the same: no matter
        names = sorted({part.records[0].ref.name or "no name" for part in (first, *more)})
        raise AmbiguousActivation(
            f"{1 + len(more)} records of one forward at {place[0]} {place[1]} ({', '.join(names)}); query one by name"
        )
    return first
