"""Everything a server keeps, opened by its address: the log, the registry, the keys, and word of what changed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Self

from symposia.core.clock import Clock
from symposia.core.errors import InvalidInput
from symposia.core.store import Entry, Record, Store

from .audit import Act, AuditRow, read_acts, write_act
from .keyring import Keys
from .log import Log, write
from .migrations import migrate
from .profiles import Profiles
from .sql import Database
from .sqlite import MEMORY, Sqlite
from .verify import Verified, verify

_POSTGRES = ("postgresql://", "postgres://")


class Storage:
    """A context manager: leaving it closes the database. Its parts may be used by several threads."""

    def __init__(self, database: Database, clock: Clock) -> None:
        """Brings the tables up to date; `NewerStore` if they are ahead of this version."""
        self._database, self._clock = database, clock
        migrate(database, now=clock.time())
        self.events: Store = Log(database)
        self.profiles, self.keys = Profiles(database, clock), Keys(database, clock)
        database.watch()

    @property
    def name(self) -> str:
        """Where it is, for people; no password in it."""
        return self._database.name

    def changed(self, timeout_s: float) -> bool:
        """Wait, in a thread of its own, until something was decided, by any process; false after so long.

        What wakes: whatever is audited, and `events.append`. What does not: `events.extend`, which carries
        measurements. One thread follows a storage. `StoreUnreachable` comes at once: pause before the next call.
        """
        return self._database.changed(timeout_s)

    def record(self, entry: Entry, act: Act, *, expect: int | None = None) -> Record:
        """Keep an event and who did it, together. `Conflict` if its stream has not `expect` events."""
        with self._database.writing() as writing:
            record = write(writing, entry, expect=expect)
            write_act(writing, act, time=entry.time)
        return record

    def audit(self, since: int = 0, limit: int = sys.maxsize) -> tuple[AuditRow, ...]:
        """The acts after a number, of whatever kind, at most so many."""
        return read_acts(self._database, since, limit)

    def verify(self) -> Verified:
        """Whether profiles, aliases, keys and the audit itself are as they were written; writers wait meanwhile."""
        with self._database.writing() as writing:
            return verify(writing)

    def close(self) -> None:
        """Let go of the database; who waits in `changed` is told false."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def opened(url: str, *, clock: Clock, make: bool = True) -> Storage:
    """The storage at `memory`, a path of a SQLite file, or `postgresql://…`.

    `InvalidInput` if it is no store, or not there and not to be made; `NewerStore`; `StoreUnreachable`.
    """
    database = database_at(url, make=make)
    try:
        return Storage(database, clock)
    except BaseException:
        database.close()
        raise


def database_at(url: str, *, make: bool = True) -> Database:
    """The database at an address, its tables as they are; as `opened` otherwise."""
    if url == "memory":
        return Sqlite(MEMORY)
    if url.startswith(_POSTGRES):
        try:
            from .postgres import Postgres
        except ModuleNotFoundError as error:
            raise InvalidInput(
                "a store in PostgreSQL needs psycopg: pip install 'symposia[postgres]'"
            ) from error
        return Postgres(url)
    if not url or "://" in url:
        raise InvalidInput(
            f"store {url!r}: expected `memory`, a path, or postgresql://USER@HOST:PORT/DATABASE"
        )
    if not make and not Path(url).exists():
        raise InvalidInput(
            f"there is no store at {url}; the first `profile create` or `keys create` makes one"
        )
    return Sqlite(url)
