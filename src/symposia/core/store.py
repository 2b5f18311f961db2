"""The event log's seam: events in, numbered and kept, read back in order. The only thing stored about what happened.

Synchronous: a server writes from a thread of its own, a command line has nothing else to do meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from .errors import InvalidInput, SymposiaError
from .events import Event
from .served import ServerEvent
from .value import Count, Value

Logged = Event | ServerEvent


class Conflict(SymposiaError):
    """Somebody else appended first: the stream is not as long as the writer expected. Nothing was written."""

    def __init__(self, *, stream: str, expected: int, found: int) -> None:
        super().__init__(
            f"stream {stream!r}: expected {expected} events; it has {found}; read the newest and decide again"
        )
        self.stream, self.expected, self.found = stream, expected, found


class Unkeepable(InvalidInput):
    """An event that would not read back as it is: a number that is none, say. Nothing written with it was kept."""


class Entry(Value, frozen=True, kw_only=True):
    """An event on its way into a log: which stream it belongs to, and when it happened (seconds since the epoch)."""

    event: Logged
    stream: str
    time: float


class Record(Value, frozen=True, kw_only=True):
    """An event as the log keeps it: `seq` numbers the whole log from 1, `position` its stream from 1."""

    seq: Count
    stream: str
    position: Count
    time: float
    event: Logged


class Query(Value, frozen=True, kw_only=True):
    """Which records, in order of `seq`: after a number, of a stream, of types (tags), since a time, at most so many."""

    after: Count = 0
    stream: str | None = None
    types: tuple[str, ...] = ()
    since: float | None = None
    limit: Count | None = None


class Store(Protocol):
    """An append-only log of events."""

    def append(self, entry: Entry, *, expect: int | None = None) -> Record:
        """Keep one event, durably when this returns.

        `expect` is how many events the writer believes the stream has: `Conflict` if it has another number.
        """
        ...

    def extend(self, entries: Sequence[Entry]) -> None:
        """Keep many, in order, all or none."""
        ...

    def read(self, query: Query) -> Iterator[Record]:
        """The records asked for."""
        ...

    def length(self, stream: str) -> int:
        """How many events a stream has."""
        ...
