"""A shelf in memory, with a limit: the twin of a folder."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence

from symposia.core.capture import ActivationRef
from symposia.interp.taps import ModelShape

from .query import ActivationQuery
from .record import (
    ActivationWriteFailed,
    Draft,
    Held,
    Identity,
    Record,
    Source,
    kept,
    record_of,
    reference,
    size_of,
)
from .shelf import Tell


class Memory:
    """Implements `WritableShelf`. Safe to write from the engine's thread while others read."""

    name = "memory"

    def __init__(self, limit: int) -> None:
        self._limit, self._used = limit, 0
        self._records: dict[int, Record] = {}
        self._lock = threading.Lock()
        self._made = 0

    @property
    def free(self) -> int:
        return self._limit - self._used

    def __len__(self) -> int:
        return len(self._records)

    def put(self, source: Source, drafts: Sequence[Draft]) -> tuple[ActivationRef, ...]:
        rows = [kept(draft.rows) for draft in drafts]
        size = sum(map(size_of, rows))
        made: list[ActivationRef] = []
        with self._lock:
            if size > self.free:
                raise ActivationWriteFailed(
                    f"{size:,} bytes to store; {self.free:,} of {self._limit:,} free; drop records"
                )
            for draft, rows_NX in zip(drafts, rows, strict=True):
                self._made += 1
                ref = reference(draft, rows_NX, f"{self.name}:{self._made}")
                self._records[self._made] = record_of(draft, source, ref, Held(rows_NX))
                made.append(ref)
            self._used += size
        return tuple(made)

    def when_kept(self, refs: Sequence[ActivationRef], tell: Tell) -> None:
        tell(None)

    def drop(self, numbers: Iterable[int]) -> None:
        with self._lock:
            for number in numbers:
                record = self._records.pop(number, None)
                if record is not None:
                    self._used -= size_of(record.rows)

    def numbers(self, query: ActivationQuery) -> Sequence[int]:
        with self._lock:
            fitting = {number: record for number, record in self._records.items() if query.admits(record)}
        newest: dict[Identity, int] = {}
        for number, record in fitting.items():
            if record.identity is not None:
                newest[record.identity] = number
        return [n for n, r in fitting.items() if r.identity is None or newest[r.identity] == n]

    def layers(self, query: ActivationQuery) -> set[int | None]:
        return {record.ref.layer for record in self.load(self.numbers(query))}

    def models(self, query: ActivationQuery) -> dict[str, ModelShape | None]:
        return {record.source.model: record.source.shape for record in self.load(self.numbers(query))}

    def load(self, numbers: Sequence[int]) -> list[Record]:
        with self._lock:
            return [self._records[number] for number in numbers if number in self._records]

    def flush(self) -> None:
        return

    def close(self) -> None:
        return
