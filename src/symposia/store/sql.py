"""A database as the store sees it: one statement for every dialect, parameters always bound, one writer at a time.

Statements hold `?` for each parameter and types that every dialect reads alike. Whoever writes holds the store's one
writers' lock from the first statement on, over all threads and processes, so what it reads is what it changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import cache
from typing import Any, Final, Protocol

Bound = str | int | float | None
Row = tuple[Any, ...]

REVISION: Final = "SELECT revision FROM head"
REVISE: Final = "UPDATE head SET revision = revision + 1"


class Reading(Protocol):
    """Something that can be asked."""

    def rows(self, statement: str, parameters: Sequence[Bound] = ()) -> list[Row]:
        """Every row of an answer; none for a statement without one."""
        ...


class Writing(Reading, Protocol):
    """A transaction: everything in it, or nothing."""

    def insert(self, table: str, columns: tuple[str, ...], rows: Sequence[Sequence[Bound]]) -> None:
        """Rows into a table, as many at a time as the dialect does well."""
        ...

    def tell(self) -> None:
        """Raise the revision when this is committed, and so wake whoever waits for a change."""
        ...


class Database(Reading, Protocol):
    """A connection that mends itself: what fails raises `StoreUnreachable`, the next call connects again."""

    @property
    def name(self) -> str:
        """What people know it by; no password in it."""
        ...

    def writing(self) -> AbstractContextManager[Writing]:
        """The writers' lock and a transaction, durable once left; an exception undoes it."""
        ...

    def watch(self) -> None:
        """Changes from here on are changes."""
        ...

    def changed(self, timeout_s: float) -> bool:
        """Wait until the revision differs from the one seen last; false after so long. For one thread."""
        ...

    def close(self) -> None:
        """Let go of it; whoever waits for a change is told there was none."""
        ...


@cache
def inserting(table: str, columns: tuple[str, ...], rows: int) -> str:
    """The statement that inserts so many rows."""
    one = f"({', '.join('?' * len(columns))})"
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES {', '.join([one] * rows)}"  # noqa: S608 (names of ours)
