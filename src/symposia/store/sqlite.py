"""SQLite: a file in WAL mode, every commit synced before it returns; or a database in memory, gone when closed."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from itertools import chain
from math import ceil
from pathlib import Path
from typing import Final

from symposia.core.errors import InvalidInput, StoreUnreachable

from .sql import REVISE, REVISION, Bound, Row, Writing, inserting

MEMORY: Final = ":memory:"
_BUSY_S = 30.0  # how long a writer waits for the others
_MOST_ROWS = 128  # of a statement; older SQLite takes 999 parameters
POLL_S: Final = 0.2
"""How often another process's decisions are looked for; those of this process wake at once."""


class Sqlite:
    """One connection for all threads of this process, and one that only looks for changes, once somebody waits."""

    def __init__(self, path: str, *, poll_s: float = POLL_S) -> None:
        """Open or make the file; `InvalidInput` if it is not a database."""
        self._path, self._poll_s, self._lock = path, poll_s, threading.RLock()
        self._bell, self._rings, self._closed = threading.Condition(), 0, False
        self._connection = _connect(path)
        self._feed: sqlite3.Connection | None = None
        self._seen, self._version = 0, -1

    @property
    def name(self) -> str:
        return "memory" if self._path == MEMORY else self._path

    def rows(self, statement: str, parameters: Sequence[Bound] = ()) -> list[Row]:
        with self._lock, _told(self.name):
            return self._connection.execute(statement, parameters).fetchall()

    @contextmanager
    def writing(self) -> Iterator[Writing]:
        with self._lock, _told(self.name):
            transaction = _Transaction(self._connection)
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield transaction
                if transaction.telling:
                    self._connection.execute(REVISE)
                self._connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):  # a full disk has rolled it back already
                    self._connection.execute("ROLLBACK")
                raise
        if transaction.telling:
            self._ring()

    def watch(self) -> None:
        self._seen = int(self.rows(REVISION)[0][0])

    def changed(self, timeout_s: float) -> bool:
        for left in range(ceil(timeout_s / self._poll_s), -1, -1):
            rings = self._rings
            before, self._seen = self._seen, self._look()
            if self._seen != before:
                return True
            with self._bell:
                if left and not self._closed:
                    self._bell.wait_for(partial(self._rang, rings), min(self._poll_s, timeout_s))
        return False

    def close(self) -> None:
        self._closed = True
        self._ring()
        with self._lock:
            self._connection.close()
            if self._feed is not None:
                self._feed.close()

    def _ring(self) -> None:
        with self._bell:
            self._rings += 1
            self._bell.notify_all()

    def _rang(self, before: int) -> bool:
        return self._rings != before

    def _look(self) -> int:
        """The revision, read only when another connection's commit has changed the file's version."""
        with self._lock, _told(self.name):
            if self._closed:
                return self._seen
            if self._path == MEMORY:
                return int(self._connection.execute(REVISION).fetchone()[0])
            if self._feed is None:
                self._feed = _connect(self._path)
            before, self._version = (
                self._version,
                int(self._feed.execute("PRAGMA data_version").fetchone()[0]),
            )
            return self._seen if self._version == before else int(self._feed.execute(REVISION).fetchone()[0])


class _Transaction:
    """Statements between BEGIN and COMMIT."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection, self.telling = connection, False

    def rows(self, statement: str, parameters: Sequence[Bound] = ()) -> list[Row]:
        return self._connection.execute(statement, parameters).fetchall()

    def insert(self, table: str, columns: tuple[str, ...], rows: Sequence[Sequence[Bound]]) -> None:
        """Many rows a statement: each gives Python's lock up and wins it back, and the event loop wants it too."""
        done = 0
        while done < len(rows):
            size = min(
                _MOST_ROWS, 1 << (len(rows) - done).bit_length() - 1
            )  # few sizes: statements stay prepared
            values = tuple(chain.from_iterable(rows[done : done + size]))
            self._connection.execute(inserting(table, columns, size), values)
            done += size

    def tell(self) -> None:
        self.telling = True


def _connect(path: str) -> sqlite3.Connection:
    if path != MEMORY:
        Path(path).absolute().parent.mkdir(parents=True, exist_ok=True)
    with _told(path):
        connection = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
        try:
            connection.text_factory = _text
            if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
                connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
        except sqlite3.Error:
            connection.close()
            raise
    return connection


def _text(raw: bytes) -> str:
    """Bytes that were damaged come back as no text of ours, and stay different from every other."""
    return raw.decode("utf-8", "surrogateescape")


@contextmanager
def _told(name: str) -> Iterator[None]:
    """SQLite's errors as ours."""
    try:
        yield
    except sqlite3.ProgrammingError as error:
        if "closed" not in str(error):
            raise
        raise StoreUnreachable(f"the store {name} is closed; open it again") from error
    except sqlite3.OperationalError as error:
        raise StoreUnreachable(
            f"the store {name} cannot be used: {error}; see that its folder can be written and has room"
        ) from error
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.IntegrityError):
            raise
        raise InvalidInput(
            f"{name}: expected a SQLite database of ours; {error}; choose another file, or restore a copy of it"
        ) from error
