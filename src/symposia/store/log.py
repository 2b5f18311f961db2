"""The event log: numbered from 1 without gaps in the order of commits, so that who follows it misses nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from symposia.core.store import Conflict, Entry, Query, Record

from .kept import TYPES, event_of, text_of
from .sql import Bound, Database, Row, Writing
from .told import finite

_PAGE = 1000
_COLUMNS = "seq, stream, position, time, json"
_WRITTEN = ("seq", "stream", "position", "time", "json", "type")
_GROWN = "INSERT INTO stream (name, length) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET length = excluded.length"
_LENGTH = "SELECT length FROM stream WHERE name = ?"
_TIMES = {kind: f"time of event {kind.__name__}" for kind in TYPES}


class Log:
    """`core.store.Store` on a database. Bulk (`extend`) is measurement and wakes nobody; `append` is a decision."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def append(self, entry: Entry, *, expect: int | None = None) -> Record:
        with self._database.writing() as writing:
            writing.tell()
            return write(writing, entry, expect=expect)

    def extend(self, entries: Sequence[Entry]) -> None:
        if entries:
            with self._database.writing() as writing:
                _write(writing, entries)

    def read(self, query: Query) -> Iterator[Record]:
        """The records asked for; those written after the first was read are left to the next read."""
        last, left = self._last(), query.limit
        after = self._start(query)
        while after < last and left != 0:
            page = _PAGE if left is None else min(_PAGE, left)
            found = self._page(query, after, last, page)
            yield from map(_record, found)
            if len(found) < page:
                return
            after, left = int(found[-1][0]), left if left is None else left - page

    def length(self, stream: str) -> int:
        return _length(self._database.rows(_LENGTH, (stream,)))

    def _last(self) -> int:
        return int(self._database.rows("SELECT seq FROM head")[0][0])

    def _start(self, query: Query) -> int:
        """After which record to begin: none before the first of that time is wanted."""
        if query.since is None:
            return query.after
        first = self._database.rows("SELECT min(seq) FROM event WHERE time >= ?", (query.since,))[0][0]
        return self._last() if first is None else max(query.after, int(first) - 1)

    def _page(self, query: Query, after: int, last: int, size: int) -> list[Row]:
        clauses = ["seq > ? AND seq <= ?"]
        parameters: list[Bound] = [after, last]
        if query.stream is not None:
            clauses.append("stream = ?")
            parameters.append(query.stream)
        if query.types:
            clauses.append(f"type IN ({', '.join('?' * len(query.types))})")
            parameters += query.types
        if query.since is not None:
            clauses.append("time >= ?")
            parameters.append(query.since)
        where = " AND ".join(clauses)
        return self._database.rows(
            f"SELECT {_COLUMNS} FROM event WHERE {where} ORDER BY seq LIMIT ?",  # noqa: S608 (fixed clauses)
            (*parameters, size),
        )


def write(writing: Writing, entry: Entry, *, expect: int | None = None) -> Record:
    """Keep one event within a transaction; `Conflict` if its stream has not `expect` events."""
    if expect is not None:
        found = _length(writing.rows(_LENGTH, (entry.stream,)))
        if found != expect:
            raise Conflict(stream=entry.stream, expected=expect, found=found)
    return _write(writing, (entry,))


def _length(rows: list[Row]) -> int:
    return int(rows[0][0]) if rows else 0


def _write(writing: Writing, entries: Sequence[Entry]) -> Record:
    """Keep them; the last one's record."""
    last = int(writing.rows("SELECT seq FROM head")[0][0])
    lengths = {stream: _length(writing.rows(_LENGTH, (stream,))) for stream in {e.stream for e in entries}}
    rows: list[tuple[Bound, ...]] = []
    for number, entry in enumerate(entries, start=last + 1):
        event, stream = entry.event, entry.stream
        json, kind = text_of(event), type(event)
        position = lengths[stream] = lengths[stream] + 1
        rows.append((number, stream, position, finite(entry.time, _TIMES[kind]), json, TYPES[kind]))
    writing.insert("event", _WRITTEN, rows)
    for grown in lengths.items():
        writing.rows(_GROWN, grown)
    writing.rows("UPDATE head SET seq = ?", (last + len(rows),))
    return _record(rows[-1][:-1])


def _record(row: Row) -> Record:
    seq, stream, position, time, json = row
    event = event_of(json, f"event {seq} of the log")
    return Record(seq=seq, stream=stream, position=position, time=time, event=event)
