"""Tables come up to date from any numbered state, all at once, and a newer database is left alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from symposia.core.clock import VirtualClock
from symposia.core.errors import InvalidInput
from symposia.core.profile import Profile
from symposia.core.served import Draining
from symposia.core.store import Entry, Query
from symposia.store import Storage, opened
from symposia.store.keys import Grant
from symposia.store.log import Log
from symposia.store.migrations import MIGRATIONS, NEWEST, NewerStore, migrate
from symposia.store.sql import Database
from symposia.store.storage import database_at

ENTRY = Entry(event=Draining(on=True, actor="a"), stream="server", time=1.0)


@pytest.fixture
def database(url: str) -> Database:
    return database_at(url)


@pytest.mark.parametrize("older", range(len(MIGRATIONS) + 1))
def test_any_older_store_comes_up_to_date(database: Database, older: int) -> None:
    """From each number below the newest, with what was written then still there."""
    assert migrate(database, now=1.0, steps=MIGRATIONS[:older]) == older
    if older:
        Log(database).append(ENTRY)
    with Storage(database, VirtualClock()) as storage:
        assert [r.event for r in storage.events.read(Query())] == [ENTRY.event] * bool(older)
        assert database.rows(NEWEST) == [(len(MIGRATIONS),)]
        digest = storage.profiles.put(Profile(model="m"), actor="a")
        storage.profiles.move("m", "calm", digest, expect=None, actor="a", reason="")
        storage.keys.create(Grant(name="k", scopes=("kill",)), actor="a")
        assert storage.verify().flaws == ()


def test_a_step_is_applied_once(database: Database) -> None:
    """Migrating again changes nothing."""
    for _ in range(3):
        assert migrate(database, now=1.0) == len(MIGRATIONS)
    assert database.rows("SELECT number FROM migration ORDER BY number") == [
        (n,) for n in range(1, len(MIGRATIONS) + 1)
    ]
    database.close()


def test_a_newer_store_is_refused(database: Database) -> None:
    """By number, with what to do, and without a change."""
    migrate(database, now=1.0, steps=(*MIGRATIONS, ("CREATE TABLE later (a BIGINT)",)))
    with pytest.raises(NewerStore, match="upgrade symposia") as caught:
        migrate(database, now=2.0)
    assert (caught.value.found, caught.value.known) == (len(MIGRATIONS) + 1, len(MIGRATIONS))
    assert database.rows(NEWEST) == [(len(MIGRATIONS) + 1,)]
    database.close()


def test_a_step_that_fails_leaves_the_number_before(database: Database) -> None:
    """Half a migration is none: neither its tables nor those of the steps before it in the same run."""
    migrate(database, now=1.0, steps=MIGRATIONS[:1])
    broken = (*MIGRATIONS[:2], ("CREATE TABLE fine (a BIGINT)", "CREATE TABLE event (a BIGINT)"))
    with pytest.raises(Exception, match="event"):
        migrate(database, now=2.0, steps=broken)
    assert database.rows(NEWEST) == [(1,)]
    assert migrate(database, now=3.0) == len(MIGRATIONS)
    database.close()


def test_what_is_no_store_is_refused(tmp_path: Path) -> None:
    """Another file, an address that cannot be read, a missing file that is not to be made."""
    other = tmp_path / "other.db"
    other.write_bytes(b"a text, and long enough to be read as pages of something " * 100)
    for url, says in (
        (str(other), "not a database"),
        ("mysql://here", "expected `memory`"),
        ("", "expected `memory`"),
        ("postgresql://[", "expected postgresql"),
    ):
        with pytest.raises(InvalidInput, match=says):
            opened(url, clock=VirtualClock())
    with pytest.raises(InvalidInput, match="no store at"):
        opened(str(tmp_path / "missing.db"), clock=VirtualClock(), make=False)
    assert not (tmp_path / "missing.db").exists()
