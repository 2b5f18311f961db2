"""Many rows to few, read record by record: one row a span, a message, a forward or a conversation.

Axes: N pooled rows, T rows of a stretch, D width.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

import torch
from torch import Tensor

from symposia.core.errors import InvalidInput
from symposia.core.value import Count, Value

from .apart import differences
from .labels import Labels
from .query import Stretch
from .record import AmbiguousActivation, NoActivation, Record

How = Literal["mean", "last", "max"]
By = Literal["span", "message", "turn", "conversation"]
_Key = tuple[str | int, ...]
_BLOCK = 1024


class Pooled(Value, frozen=True, kw_only=True):
    """What one pooled row is of: `tokens` tokens, of these authors. `norm` is the mean ‖h‖ of its rows.

    `turn` (of the forward), `message` (whose tokens) and `position` (the first) are None where the row is of more than
    one. `label` is the message's in rows of a message, else the forward's.
    """

    run: str
    conversation: str
    branch: str
    turn: int | None
    message: int | None
    reader: str
    authors: tuple[str, ...]
    label: str | None
    position: Count | None
    tokens: Count
    norm: float
    steered: bool


class _Sum:
    """Rows of one group, added up in float64."""

    def __init__(self, how: How, record: Record, label: str | None, start: int | None) -> None:
        self.how, self.record, self.label, self.start = how, record, label, start
        self.authors: dict[str, None] = {}
        self.turns: set[int] = set()
        self.messages: set[int | None] = set()
        self.tokens, self.norms, self.rows = 0, 0.0, 0
        self.steered = False
        self.value_D: Tensor | None = None

    def add(self, part: Stretch, rows_TD: Tensor) -> None:
        """Take rows of a stretch."""
        work_TD = rows_TD.double()
        match self.how:
            case "mean":
                new_D = work_TD.sum(dim=0) * (part.n if part.pooled else 1)
                self.value_D = new_D if self.value_D is None else self.value_D + new_D
            case "max":
                new_D = work_TD.amax(dim=0)
                self.value_D = new_D if self.value_D is None else torch.maximum(self.value_D, new_D)
            case "last":
                self.value_D = work_TD[-1].clone()
        self.tokens += part.n
        self.rows += len(work_TD)
        self.norms += float(work_TD.norm(dim=1).sum())
        self.messages.add(part.span.turn)
        if part.span.author is not None:
            self.authors[part.span.author] = None

    def value(self) -> Tensor:
        """The pooled row."""
        assert self.value_D is not None
        return self.value_D / self.tokens if self.how == "mean" else self.value_D

    def note(self) -> Pooled:
        """What it is of."""
        about = self.record.source.about
        return Pooled(
            run=about.run,
            conversation=about.conversation,
            branch=about.branch,
            turn=next(iter(self.turns)) if len(self.turns) == 1 else None,
            message=next(iter(self.messages)) if len(self.messages) == 1 else None,
            reader=self.record.source.reader,
            authors=tuple(self.authors),
            label=self.label,
            position=self.start,
            tokens=self.tokens,
            norm=self.norms / self.rows,
            steered=self.steered,
        )


def pooled(
    selected: Iterable[tuple[Record, Sequence[Stretch]]],
    how: How,
    by: By,
    *,
    labels: Labels | None = None,
    drop_sinks: float | None = None,
) -> tuple[Tensor, tuple[Pooled, ...]]:
    """`[N, D]` in float32 (float64 of float64 rows), and what each row is of.

    `drop_sinks`: leave out rows of a forward whose norm is more than so many times its median.
    """
    sums: dict[_Key, _Sum] = {}
    rows = _Rows()
    notes: list[Pooled] = []
    first: Record | None = None
    for number, (record, parts) in enumerate(selected):
        first = first or record
        _check_alike(first, record, how)
        if by != "conversation":  # whatever came before is complete
            _finish(sums, rows, notes)
        for part, rows_TD in _read(record, parts, drop_sinks):
            label = _label(record, part, by, labels)
            key = _key(record, part, by, number, label)
            if key not in sums:
                sums[key] = _Sum(how, record, label, part.start if by == "span" else None)
            sums[key].add(part, rows_TD)
            sums[key].turns.add(record.source.about.turn)
            sums[key].steered |= record.source.steered
    _finish(sums, rows, notes)
    if not notes:
        raise NoActivation("no stored rows answer the query; nothing to pool")
    return rows.whole(), tuple(notes)


class _Rows:
    """Rows one by one, kept in blocks: small tensors among large ones that come and go would scatter the heap."""

    def __init__(self) -> None:
        self._blocks: list[Tensor] = []
        self._filled = _BLOCK

    def append(self, row_D: Tensor) -> None:
        """Take a copy."""
        if self._filled == _BLOCK:
            self._blocks.append(torch.empty(_BLOCK, len(row_D), dtype=row_D.dtype))
            self._filled = 0
        self._blocks[-1][self._filled] = row_D
        self._filled += 1

    def whole(self) -> Tensor:
        """All of them; nothing is left here."""
        last = self._blocks.pop()[: self._filled]
        made_ND = torch.cat([*self._blocks, last])
        self._blocks.clear()
        return made_ND


def _label(record: Record, part: Stretch, by: By, labels: Labels | None) -> str | None:
    if labels is None or (by == "message" and part.span.turn is None):
        return None
    about = record.source.about
    return labels.at(about, part.span.turn if by == "message" and part.span.turn is not None else about.turn)


def _finish(sums: dict[_Key, _Sum], rows: _Rows, notes: list[Pooled]) -> None:
    for each in sums.values():
        exact = each.record.ref.dtype == "float64"
        rows.append(each.value() if exact else each.value().float())
        notes.append(each.note())
    sums.clear()


def _read(
    record: Record, parts: Sequence[Stretch], drop_sinks: float | None
) -> Iterator[tuple[Stretch, Tensor]]:
    """Each stretch with its rows `[T, D]`, heads side by side, less the sinks."""
    whole_XD = record.place.read().flatten(1)
    if drop_sinks is None or record.pooled:
        yield from ((part, whole_XD[part.rows]) for part in parts)
        return
    norm_X = whole_XD.double().norm(dim=1)
    limit = drop_sinks * torch.cat([norm_X[part.rows] for part in parts]).median()
    for part in parts:
        kept_TD = whole_XD[part.rows][norm_X[part.rows] <= limit]
        if len(kept_TD):
            yield Stretch(part.span, part.start, len(kept_TD), part.row), kept_TD


def _key(record: Record, part: Stretch, by: By, number: int, label: str | None) -> _Key:
    match by:
        case "span":
            return (number, part.span.start)
        case "message":
            return (number, -1 if part.span.turn is None else part.span.turn)
        case "turn":
            return (number,)
        case "conversation":
            about = record.source.about
            return (about.run, about.conversation, about.branch, label or "")


def _check_alike(first: Record, other: Record, how: How) -> None:
    """Rows of one place of one model go together, no others."""
    a, b = first, other
    if (a.ref.site, a.ref.layer, a.ref.name, a.at, a.reduce, a.source.model) != (
        b.ref.site,
        b.ref.layer,
        b.ref.name,
        b.at,
        b.reduce,
        b.source.model,
    ):
        own = ("site", "layer", "name", "at", "reduce", "model")
        apart = [each for each in differences((a, b)) if each.partition(":")[0] in own]
        raise AmbiguousActivation(
            f"rows to be pooled must be of one place; these differ in {'; '.join(apart)}: narrow the query"
        )
    if other.pooled and other.reduce != how:
        raise InvalidInput(f"these rows were pooled by {other.reduce!r} when they were captured; got {how!r}")
