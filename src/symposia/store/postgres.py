"""PostgreSQL: tables in the connection's own schema, writers behind one advisory lock, changes told by NOTIFY.

Several stores may share a database: give each a schema, `postgresql://…/db?options=-csearch_path%3DNAME`.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from math import ceil
from typing import Final

import psycopg
from psycopg.conninfo import conninfo_to_dict

from symposia.core.errors import InvalidInput, StoreUnreachable

from .sql import REVISE, REVISION, Bound, Row, Writing, inserting

_CHANNEL: Final = "symposia_store"
_BEGIN: Final = (
    "BEGIN ISOLATION LEVEL READ COMMITTED"  # what is read after the lock is what the last holder left
)
_LOCK: Final = "SELECT pg_advisory_xact_lock(hashtextextended('symposia.store ' || current_schema(), 0))"
_TELL: Final = "SELECT pg_notify('symposia_store', current_schema())"
_CONNECT_S, _LOCK_S = 5, 30
_SLICE_S = 0.5  # how soon a closed store is noticed
_POLL = 10  # slices after which the revision is looked at even if nothing was heard

Connection = psycopg.Connection[Row]


class Postgres:
    """One connection for all threads of this process, and one that listens."""

    def __init__(self, url: str) -> None:
        """Nothing is connected yet; `InvalidInput` if the address cannot be read."""
        try:
            parts = conninfo_to_dict(url)
        except psycopg.ProgrammingError as error:
            raise InvalidInput(f"expected postgresql://USER@HOST:PORT/DATABASE; {error}") from error
        self.name = f"postgresql://{parts.get('host', 'localhost')}/{parts.get('dbname', '')}"
        self._line, self._ear = _Line(url, self.name), _Line(url, self.name, f"LISTEN {_CHANNEL}")
        self._lock, self._listening = threading.RLock(), threading.Lock()
        self._seen = 0
        self._closed = threading.Event()

    def rows(self, statement: str, parameters: Sequence[Bound] = ()) -> list[Row]:
        with self._lock, self._line.used() as connection:
            return _Transaction(connection).rows(statement, parameters)

    @contextmanager
    def writing(self) -> Iterator[Writing]:
        with self._lock, self._line.used() as connection:
            transaction = _Transaction(connection)
            connection.execute(_BEGIN)
            try:
                connection.execute(_LOCK)
                yield transaction
                if transaction.telling:
                    connection.execute(REVISE)
                    connection.execute(_TELL)
                connection.execute("COMMIT")
            except BaseException:
                with suppress(psycopg.Error):  # a connection that is gone has undone it
                    connection.execute("ROLLBACK")
                raise

    def watch(self) -> None:
        self._seen = int(self.rows(REVISION)[0][0])

    def changed(self, timeout_s: float) -> bool:
        with self._listening:
            if self._closed.is_set():
                return False
            with self._ear.used() as connection:
                heard = True
                for left in range(ceil(timeout_s / _SLICE_S), -1, -1):
                    if (heard or left % _POLL == 0) and self._differs(connection):
                        return True
                    heard = (
                        left > 0
                        and not self._closed.is_set()
                        and _heard(connection, min(_SLICE_S, timeout_s))
                    )
                    if self._closed.is_set():
                        return False
        return False

    def close(self) -> None:
        self._closed.set()
        with self._listening:
            self._ear.close()
        with self._lock:
            self._line.close()

    def _differs(self, connection: Connection) -> bool:
        before, self._seen = self._seen, int(_Transaction(connection).rows(REVISION)[0][0])
        return before != self._seen


class _Transaction:
    """Statements on a connection that is somebody's own for a while."""

    def __init__(self, connection: Connection) -> None:
        self._connection, self.telling = connection, False

    def rows(self, statement: str, parameters: Sequence[Bound] = ()) -> list[Row]:
        cursor = self._connection.execute(_marked(statement), parameters)
        return cursor.fetchall() if cursor.description else []

    def insert(self, table: str, columns: tuple[str, ...], rows: Sequence[Sequence[Bound]]) -> None:
        with self._connection.cursor() as cursor:
            cursor.executemany(_marked(inserting(table, columns, 1)), rows)

    def tell(self) -> None:
        self.telling = True


class _Line:
    """A connection that is made when it is needed, and made anew when it was cut; `first` is said on each."""

    def __init__(self, url: str, name: str, first: str = "") -> None:
        self._url, self._name, self._first = url, name, first
        self._connection: Connection | None = None
        self._over = False

    @contextmanager
    def used(self) -> Iterator[Connection]:
        """The connection. What the database refuses is told as our errors; a broken connection is let go of."""
        try:
            yield self._whole()
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            self.drop()
            why = " ".join(str(error).split())
            raise StoreUnreachable(
                f"the store {self._name} did not answer ({why}); what was being written may be kept or not: look first"
            ) from error
        except (psycopg.errors.InsufficientPrivilege, psycopg.errors.InvalidSchemaName) as error:
            raise InvalidInput(
                f"the store {self._name}: {error}; name a schema this role may create tables in: "
                "?options=-csearch_path%3DSCHEMA"
            ) from error

    def close(self) -> None:
        """Let go for good."""
        self._over = True
        self.drop()

    def drop(self) -> None:
        """Let go; the next use connects again."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _whole(self) -> Connection:
        """The connection, asked first whether it is still there."""
        if self._over:
            raise StoreUnreachable(f"the store {self._name} is closed; open it again")
        if self._connection is not None and not self._connection.closed:
            with suppress(psycopg.OperationalError):
                self._connection.execute("SELECT 1")
                return self._connection
        self.drop()
        made: Connection = psycopg.connect(
            self._url,
            autocommit=True,
            connect_timeout=_CONNECT_S,
            application_name="symposia",
        )
        self._connection = made
        made.execute(f"SET lock_timeout = '{_LOCK_S}s'")
        if self._first:
            made.execute(self._first)
        return made


def _heard(connection: Connection, timeout_s: float) -> bool:
    return any(True for _ in connection.notifies(timeout=timeout_s, stop_after=1))


def _marked(statement: str) -> str:
    """The statement with psycopg's marks; ours hold neither `%` nor a `?` that is not a parameter."""
    return statement.replace("?", "%s")
