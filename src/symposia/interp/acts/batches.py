"""From records to shards and index, in batches: a batch's bytes, one sync, one transaction. Of one thread."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from .index import Known, Placed, commit, connect
from .options import StoreOptions
from .record import ActivationWriteFailed, Record, raw_bytes, size_of
from .recover import Cut, next_numbers, recover, seal_shard
from .shard import ALIGNED, HEADER, Appender, Entry, shard_name

Lost = dict[int, ActivationWriteFailed]


@dataclass(frozen=True)
class Put:
    """The records of one generation: kept together, or none of them."""

    records: tuple[tuple[int, Record], ...]

    @cached_property
    def bytes(self) -> int:
        """Of all rows."""
        return sum(size_of(record.rows) for _, record in self.records)

    @cached_property
    def entries(self) -> int:
        """What they add to a header: a tensor each, and a gap after one that does not end on a border."""
        return sum(1 + bool(size_of(record.rows) % ALIGNED) for _, record in self.records)


@dataclass
class _Shard:
    number: int
    file: Appender
    entries: int = 0


class Batches:
    """Writes behind a lock that somebody else holds. `cuts` tells what a crash had left."""

    def __init__(self, folder: Path, options: StoreOptions) -> None:
        self._folder, self._options = folder, options
        self._index = connect(folder / "index.sqlite", write=True)
        try:
            self.cuts: tuple[Cut, ...] = recover(folder, self._index)
            self.next_record, self._next_shard = next_numbers(self._index)
        except BaseException:
            self._index.close()
            raise
        self._known: Known | None = None
        self._shard: _Shard | None = None

    def write(self, puts: Sequence[Put], dropped: Sequence[int]) -> Lost:
        """The records that were lost, each with why. The others are on the disk, and known."""
        lost: Lost = {}
        together: list[Put] = []
        size, entries = self._filled()
        limits = self._options
        for put in puts:
            over = size + put.bytes > limits.shard_bytes or entries + put.entries > limits.shard_tensors
            if entries and over:
                lost |= self._write(together, ())
                self._seal()
                together, size, entries = [], 0, 0
            together.append(put)
            size, entries = size + put.bytes, entries + put.entries
        if together or dropped:
            lost |= self._write(together, dropped)
        return lost

    def close(self) -> None:
        """Seal the newest shard."""
        self._seal()
        self._index.close()

    def _filled(self) -> tuple[int, int]:
        """Bytes and entries of the newest shard."""
        return (0, 0) if self._shard is None else (self._shard.file.end - HEADER, self._shard.entries)

    def _write(self, puts: Sequence[Put], dropped: Sequence[int]) -> Lost:
        """Bytes, disk, index. On an error nothing of it is known, and the shard ends where it ended."""
        before = 0 if self._shard is None else self._shard.file.end
        try:
            placed = [self._place(number, record) for put in puts for number, record in put.records]
            if placed and self._shard is not None:
                self._shard.file.sync()
            if self._known is None:
                self._known = Known(self._index)
            commit(self._index, placed, dropped, self._known)
        except (OSError, sqlite3.Error) as error:
            self._known = None
            self._take_back(before)
            failed = ActivationWriteFailed(
                f"{self._folder}: {error}; rows of {len(puts)} generations were not stored; make room there, or open "
                "a store elsewhere"
            )
            return {number: failed for put in puts for number, _ in put.records}
        if self._shard is not None:
            self._shard.entries += sum(put.entries for put in puts)
        return {}

    def _place(self, number: int, record: Record) -> Placed:
        if self._shard is None:
            path = self._folder / "shards" / shard_name(self._next_shard)
            self._next_shard += 1
            self._shard = _Shard(self._next_shard - 1, Appender(path))
        raw = raw_bytes(record.rows)
        offset = self._shard.file.append(raw)
        entry = Entry(number, record.ref.dtype, record.ref.shape, offset, len(raw))
        return Placed(number, record, self._shard.number, entry)

    def _take_back(self, end: int) -> None:
        """The shard as it was, or none: where even that fails, whoever opens the folder next cuts it."""
        shard = self._shard
        if shard is None:
            return
        try:
            if end:
                shard.file.cut(end)
                return
            shard.file.close()
            shard.file.path.unlink()
        except OSError:
            shard.file.close()
        self._shard = None

    def _seal(self) -> None:
        """Make the newest shard an ordinary file. All in it is known: if this fails, the next writer does it."""
        shard, self._shard = self._shard, None
        if shard is None:
            return
        shard.file.close()
        try:
            seal_shard(shard.file.path, shard.number, self._index)
        except (OSError, sqlite3.Error):
            return
