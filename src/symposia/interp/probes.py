"""Cross-agent probes: what one network holds while it reads another.

`reader` is whose forward it was, `author` whose tokens: reader alice and author bob is alice reading bob. A message
counts once for each reader, where it was first read; labels are the message's. Folds are of whole conversations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from symposia.core.errors import InvalidInput
from symposia.core.value import Value

from .acts.record import NoActivation
from .acts.store import ActivationStore
from .diagnose import auroc
from .fitted import Fitted
from .groups import WORDS, Groups, fit_groups, side_of
from .methods import DiffMean, Method
from .vector import Reading, SteeringVector

PLAIN = Reading(where=WORDS)


class Cell(Value, frozen=True, kw_only=True):
    """One reader of one author at one layer: held-out AUROC, and what chance reaches in 95 of 100 cases.

    `why_not` says why nothing could be measured; then both are None.
    """

    reader: str
    author: str
    layer: int
    auroc: float | None = None
    null: float | None = None
    dprime: float | None = None
    why_not: str = ""

    @property
    def above_chance(self) -> bool:
        """Whether the classes are told apart better than shuffled labels are."""
        return self.auroc is not None and self.null is not None and self.auroc > self.null


class Transfer(Value, frozen=True, kw_only=True):
    """One layer's probe on data it was not fitted on: AUROC held out at home, AUROC there, and what is lost."""

    layer: int
    home: float
    away: float
    samples: tuple[int, int]

    @property
    def drop(self) -> float:
        """How much worse it is away."""
        return self.home - self.away


def probe(
    groups: Groups,
    method: Method = DiffMean(),
    *,
    store: ActivationStore,
    reader: str | None = None,
    author: str | None = None,
    read: Reading = PLAIN,
    name: str = "probe",
) -> Fitted:
    """A direction for telling messages apart by what `reader` holds while reading `author`; no forward is run.

    The questions of `groups` ask for labels of messages. Raises as `fit_groups` does.
    """
    return fit_groups(narrowed(groups, reader, author), method, store=store, read=read, name=name)


def matrix(
    groups: Groups,
    readers: Sequence[str],
    authors: Sequence[str],
    *,
    store: ActivationStore,
    method: Method = DiffMean(),
    read: Reading = PLAIN,
) -> tuple[Cell, ...]:
    """Every reader of every author, themselves included, at every layer read; cells that cannot be measured say why."""
    found: list[Cell] = []
    for reader in readers:
        for author in authors:
            try:
                fitted = probe(groups, method, store=store, reader=reader, author=author, read=read)
            except (NoActivation, InvalidInput) as error:
                layers = read.layers or (-1,)
                found += (Cell(reader=reader, author=author, layer=at, why_not=str(error)) for at in layers)
                continue
            found += (
                Cell(
                    reader=reader,
                    author=author,
                    layer=layer,
                    auroc=notes.auroc,
                    null=notes.null_auroc,
                    dprime=notes.dprime,
                )
                for layer, notes in fitted.diagnosis.layers.items()
            )
    return tuple(found)


def transfer(
    vector: SteeringVector,
    away: Groups,
    *,
    store: ActivationStore,
    reader: str | None = None,
    author: str | None = None,
) -> tuple[Transfer, ...]:
    """A fitted probe on other groups, layer by layer, as it is: nothing is fitted again.

    Site and pooling are those it was fitted with. Raises `InvalidInput` for a file without held-out scores.
    """
    there = narrowed(away, reader, author)
    told = vector.header.read
    read = Reading(site=told.site, pool=told.pool, drop_sinks=told.drop_sinks, where=WORDS)
    found: list[Transfer] = []
    for layer, direction_D in vector.directions.items():
        home = vector.notes(layer).auroc
        if home is None:
            raise InvalidInput(
                f"vector {vector.header.name!r} says nothing of held-out scores at layer {layer}; fit it here"
            )
        plus, minus = (
            side_of(query, there, store, read, layer) for query in (there.positive, there.negative)
        )
        scores = [side.rows_ND.double() @ direction_D.double() for side in (plus, minus)]
        counts = (len(plus.notes), len(minus.notes))
        found.append(Transfer(layer=layer, home=home, away=auroc(*scores), samples=counts))
    return tuple(found)


def narrowed(groups: Groups, reader: str | None, author: str | None) -> Groups:
    """The groups, of messages, as one reader holds one author."""
    sides = [
        replace(query, reader=reader or query.reader, author=author or query.author)
        for query in (groups.positive, groups.negative)
    ]
    return replace(groups, positive=sides[0], negative=sides[1], sample="message")
