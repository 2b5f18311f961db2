"""A database that cannot be used says so and keeps nothing; one that comes back is used again."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from symposia.core.clock import VirtualClock
from symposia.core.errors import InvalidInput, StoreUnreachable
from symposia.core.profile import Profile
from symposia.core.served import Draining
from symposia.core.store import Entry
from symposia.store import Storage, opened
from tests.store.places import schema, told

ENTRY = Entry(event=Draining(on=True, actor="a", reason="long " * 2000), stream="server", time=1.0)


def test_a_full_disk_keeps_nothing_half(tmp_path: Path, clock: VirtualClock) -> None:
    """The write that finds no room is refused whole, what was there is there, and with room it goes on."""
    with opened(str(tmp_path / "full.db"), clock=clock) as storage:
        storage.events.append(ENTRY)
        pages = storage._database.rows("PRAGMA page_count")[0][0]
        storage._database.rows(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(StoreUnreachable, match="full"):
            storage.events.extend([ENTRY] * 20)
        assert storage.events.length("server") == 1
        storage._database.rows("PRAGMA max_page_count = 100000")
        assert storage.events.append(ENTRY, expect=1).seq == 2


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path, clock: VirtualClock) -> None:
    """A path through a file is no place for a store."""
    (tmp_path / "file").write_text("x")
    with pytest.raises((StoreUnreachable, OSError)):
        opened(str(tmp_path / "file" / "deep.db"), clock=clock)


@pytest.fixture
def postgres(clock: VirtualClock) -> Iterator[Storage]:
    with schema() as url, opened(url, clock=clock) as storage:
        yield storage


def cut(storage: Storage) -> None:
    """End every connection of the store, as a restart of the server does."""
    lines = [storage._database._line, storage._database._ear]
    pids = [line._connection.info.backend_pid for line in lines if line._connection is not None]
    told(f"SELECT pg_terminate_backend(pid) FROM unnest(ARRAY{pids}) AS pid")


@pytest.mark.services
def test_a_connection_cut_while_idle_is_made_again(postgres: Storage) -> None:
    """Nobody notices: the next read, write or wait connects anew."""
    digest = postgres.profiles.put(Profile(model="m"), actor="a")
    cut(postgres)
    assert postgres.profiles.get(digest) == Profile(model="m")
    assert postgres.changed(0.0)
    cut(postgres)
    postgres.events.append(ENTRY, expect=0)
    assert postgres.changed(0.0)


@pytest.mark.services
def test_a_connection_cut_while_writing_keeps_nothing(postgres: Storage) -> None:
    """The write is refused, and is not there afterwards; the next one is."""

    def write() -> None:
        with postgres._database.writing() as writing:
            writing.rows("UPDATE head SET seq = 99")
            cut(postgres)
            writing.rows("SELECT 1")

    with pytest.raises(StoreUnreachable, match="look first"):
        write()
    assert postgres.events.append(ENTRY).seq == 1


@pytest.mark.services
def test_a_connection_cut_while_waiting_is_told(postgres: Storage) -> None:
    """The follower is told so, or hears the change by a new connection; either way it hears of it in the end."""
    heard: list[bool | str] = []

    def follow() -> None:
        try:
            heard.append(postgres.changed(60.0))
        except StoreUnreachable as error:
            heard.append(str(error))

    follower = threading.Thread(target=follow)
    follower.start()
    cut(postgres)
    postgres.events.append(ENTRY)
    follower.join(30)
    assert len(heard) == 1
    assert heard[0] is True or ("did not answer" in str(heard[0]) and postgres.changed(5.0))


@pytest.mark.services
def test_a_decision_is_told_by_the_server_itself(clock: VirtualClock) -> None:
    """PostgreSQL says so to who listens, with the schema it was in; of measurements it says nothing."""
    with schema() as url, opened(url, clock=clock) as one, opened(url, clock=clock) as two:
        assert not two.changed(0.0)
        one.events.extend([ENTRY])
        one.events.append(ENTRY)
        with two._database._ear.used() as connection:
            (note,) = connection.notifies(timeout=30.0, stop_after=1)
            assert note.payload in url
            assert list(connection.notifies(timeout=0.1)) == []


@pytest.mark.services
def test_a_server_that_is_not_there(clock: VirtualClock) -> None:
    """It is said which, and never with its password."""
    pytest.importorskip("psycopg")
    with pytest.raises(StoreUnreachable, match=re.escape("127.0.0.1/none")) as caught:
        opened("postgresql://eve:hunter2hunter2@127.0.0.1:1/none", clock=clock)
    assert "hunter2" not in str(caught.value)


@pytest.mark.services
def test_a_schema_that_is_not_there(clock: VirtualClock) -> None:
    """A role cannot make tables nowhere; the error says how to name a schema."""
    with schema() as url, pytest.raises(InvalidInput, match="search_path"):
        opened(url.replace("symposia_test_", "symposia_gone_"), clock=clock)


@pytest.mark.services
def test_stores_in_schemas_of_their_own_do_not_meet(clock: VirtualClock) -> None:
    """Two stores of one database hear and hold nothing of each other's."""
    with schema() as one, schema() as two, opened(one, clock=clock) as a, opened(two, clock=clock) as b:
        a.events.append(ENTRY)
        assert b.events.length("server") == 0
        assert not b.changed(0.6)
        assert a.changed(0.0)
