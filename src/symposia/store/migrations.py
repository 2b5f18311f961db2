"""The tables, as numbered steps: each is applied once, in order, in one transaction under the writers' lock.

A step that has been released never changes; a change is a new step at the end. Types are those that every dialect
reads alike: TEXT, BIGINT, DOUBLE PRECISION.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from symposia.core.errors import InvalidInput

from .sql import Database

Steps = Sequence[Sequence[str]]

_LOG = (
    """CREATE TABLE event (
        seq BIGINT NOT NULL PRIMARY KEY, stream TEXT NOT NULL, position BIGINT NOT NULL,
        time DOUBLE PRECISION NOT NULL, type TEXT NOT NULL, json TEXT NOT NULL)""",
    "CREATE UNIQUE INDEX event_stream ON event (stream, seq)",
    "CREATE INDEX event_time ON event (time, seq)",
    "CREATE TABLE stream (name TEXT NOT NULL PRIMARY KEY, length BIGINT NOT NULL)",
    "CREATE TABLE head (seq BIGINT NOT NULL, revision BIGINT NOT NULL)",
    "INSERT INTO head (seq, revision) VALUES (0, 0)",
)
_REGISTRY = (
    """CREATE TABLE audit (
        seq BIGINT NOT NULL PRIMARY KEY, time DOUBLE PRECISION NOT NULL, actor TEXT NOT NULL, action TEXT NOT NULL,
        subject TEXT NOT NULL, before TEXT, after TEXT, reason TEXT NOT NULL, evidence TEXT NOT NULL,
        prev TEXT NOT NULL, hash TEXT NOT NULL)""",
    """CREATE TABLE profile (
        digest TEXT NOT NULL PRIMARY KEY, json TEXT NOT NULL, created DOUBLE PRECISION NOT NULL, actor TEXT NOT NULL,
        note TEXT NOT NULL, archived DOUBLE PRECISION)""",
    """CREATE TABLE alias (
        model TEXT NOT NULL, name TEXT NOT NULL, digest TEXT, seq BIGINT NOT NULL PRIMARY KEY)""",
    "CREATE UNIQUE INDEX alias_name ON alias (model, name, seq)",
    "ALTER TABLE head ADD COLUMN audit BIGINT NOT NULL DEFAULT 0",
    "ALTER TABLE head ADD COLUMN hash TEXT NOT NULL DEFAULT ''",
)
_KEYS = (
    """CREATE TABLE access_key (
        id TEXT NOT NULL PRIMARY KEY, name TEXT NOT NULL, sha256 TEXT NOT NULL, scopes TEXT NOT NULL,
        models TEXT NOT NULL, profiles TEXT NOT NULL, created DOUBLE PRECISION NOT NULL, expires DOUBLE PRECISION,
        revoked DOUBLE PRECISION)""",
)
MIGRATIONS: Final[Steps] = (_LOG, _REGISTRY, _KEYS)

_TABLE = "CREATE TABLE IF NOT EXISTS migration (number BIGINT NOT NULL PRIMARY KEY, applied DOUBLE PRECISION NOT NULL)"
NEWEST = "SELECT coalesce(max(number), 0) FROM migration"


class NewerStore(InvalidInput):
    """The database was written by a newer version of this code; nothing was changed."""

    def __init__(self, *, name: str, found: int, known: int) -> None:
        super().__init__(
            f"the store {name} is at migration {found}; this version knows {known}: "
            "upgrade symposia, or choose another store"
        )
        self.found, self.known = found, known


def migrate(database: Database, *, now: float, steps: Steps = MIGRATIONS) -> int:
    """Bring a database up to date; the number of its last step. `NewerStore` if it is ahead of `steps`."""
    with database.writing() as writing:
        writing.rows(_TABLE)
        found = int(writing.rows(NEWEST)[0][0])
        if found > len(steps):
            raise NewerStore(name=database.name, found=found, known=len(steps))
        for number, statements in enumerate(steps[found:], start=found + 1):
            for statement in statements:
                writing.rows(statement)
            writing.rows("INSERT INTO migration (number, applied) VALUES (?, ?)", (number, now))
    return len(steps)
