"""The answer to a query: records in order of storing, their rows and tokens, read when they are asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from symposia.core.errors import InvalidInput
from symposia.core.span import Span

from .apart import differences
from .labels import Labels, load_labels
from .pooling import By, How, Pooled, pooled
from .query import ActivationQuery, Stretch, stretches
from .record import AmbiguousActivation, NoActivation, Record

_ENOUGH = 32
LabelOf = Literal["forward", "message"]


@dataclass(frozen=True)
class TokenRow:
    """What one stored row is of. `text` is empty where the store was not told it."""

    token_id: int
    position: int
    span: Span
    record: str
    text: str = ""


@dataclass(frozen=True)
class Activations:
    """Rows of all `records`, in order of storing. `labels` `of` forwards or of the messages read, where joined.

    Pooled records have no tokens: `tokens` and `tensors` leave them out, `pool` does not.
    """

    records: Sequence[Record]
    query: ActivationQuery
    labels: Labels | None = field(default=None, repr=False)
    of: LabelOf = "forward"

    def __len__(self) -> int:
        """How many rows `tensors` has."""
        return sum(part.n for _, parts in self.selected() for part in parts if not part.pooled)

    def selected(self) -> Iterator[tuple[Record, list[Stretch]]]:
        """Each record that has any of the rows, and which; a record at a time, whatever their number."""
        if self.query.label is not None and self.labels is None:
            raise InvalidInput(f"label={self.query.label!r}: join labels first: query(...).labelled(path)")
        for record in self.records:
            if parts := [part for part in stretches(record, self.query) if self._takes(record, part)]:
                yield record, parts

    def tokens(self) -> list[TokenRow]:
        """One entry per row of `tensors()`, aligned."""
        found = []
        for record, parts in self.selected():
            ids, texts = record.source.token_ids, record.source.texts
            for part in parts:
                for at in range(part.start, part.start + part.n) if not part.pooled else ():
                    text = texts[at] if texts else ""
                    found.append(TokenRow(ids[at], at, part.span, record.ref.record, text))
        return found

    def tensors(self) -> Tensor:
        """Rows `[N, ...]` in memory. Raises `NoActivation` when there are none."""
        picked: list[Tensor] = []
        for record, parts in self.selected():
            if not record.pooled:
                whole = record.place.read()
                picked.extend(whole[part.rows] for part in parts)
        if not picked:
            raise NoActivation(f"no stored rows answer {self.query}")
        return torch.cat(picked)

    def one(self) -> Tensor:
        """The rows of exactly one record, else `NoActivation` or `AmbiguousActivation` with what differs."""
        found = []
        for record, parts in self.selected():
            found.append((record, parts))
            if len(found) > _ENOUGH:
                break
        if not found:
            raise NoActivation(f"no stored record answers {self.query}")
        if len(found) > 1:
            many = f"more than {_ENOUGH}" if len(found) > _ENOUGH else str(len(found))
            apart = "; ".join(differences(record for record, _ in found))
            raise AmbiguousActivation(
                f"{many} records answer {self.query}; they differ in {apart or 'nothing but when they were stored'}"
            )
        [(record, parts)] = found
        whole = record.rows
        if not self.query.by_token:
            return whole
        return torch.cat([whole[part.rows] for part in parts])

    def pool(self, how: How, *, by: By = "turn") -> tuple[Tensor, tuple[Pooled, ...]]:
        """Pooled rows `[N, D]`, one a span, a message in a forward, a forward or a conversation, and what each is of.

        Rows are read record by record, and added up in float64; only the result is held. The records must be of one
        place, else `AmbiguousActivation`. Records that were pooled when captured can be pooled the same way only.
        """
        return pooled(self.selected(), how, by, labels=self.labels)

    def labelled(self, labels: Path | str | Labels, *, of: LabelOf = "forward") -> Activations:
        """With labels from JSONL lines `{"conversation", "turn", "label"}`; what has none is left out.

        They are of the forwards that made those turns; or `of` messages, whoever's forward read them.
        """
        joined = labels if isinstance(labels, Labels) else load_labels(labels)
        return replace(self, labels=joined, of=of)

    def to_parquet(self, path: Path | str) -> None:
        """Write the index of these records, one a row, as Parquet; needs `pip install 'symposia[parquet]'`."""
        from .parquet import write_parquet

        write_parquet(self.records, Path(path))

    def _takes(self, record: Record, part: Stretch) -> bool:
        if self.labels is None:
            return True
        about = record.source.about
        turn = part.span.turn if self.of == "message" else about.turn
        label = None if turn is None else self.labels.at(about, turn)
        return label is not None and self.query.label in (None, label)
