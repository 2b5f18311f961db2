"""Whoever follows a storage hears of every decision, of nothing else, and stops when it is closed."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from symposia.core.clock import VirtualClock
from symposia.core.profile import Profile
from symposia.core.served import KillSwitched
from symposia.core.store import Entry
from symposia.store import Storage, opened
from symposia.store.audit import Act
from symposia.store.keys import Grant
from symposia.store.refusals import AliasConflict
from symposia.store.sqlite import MEMORY, POLL_S, Sqlite

KILL = Entry(event=KillSwitched(on=True, actor="a", reason="r"), stream="kill", time=1.0)


def test_decisions_are_changes(storage: Storage) -> None:
    """Profiles, aliases, keys, records and single appends each wake; several before one look are one change."""
    digest = ""

    def put() -> None:
        nonlocal digest
        digest = storage.profiles.put(Profile(model="m"), actor="a")

    decisions = [
        put,
        lambda: storage.profiles.move("m", "calm", digest, expect=None, actor="a", reason=""),
        lambda: storage.keys.create(Grant(name="k", scopes=("kill",)), actor="a"),
        lambda: storage.record(KILL, Act(actor="a", action="kill_switched", subject="kill")),
        lambda: storage.events.append(KILL),
    ]
    assert not storage.changed(0.0)
    for decide in decisions:
        decide()
        assert storage.changed(0.0)
        assert not storage.changed(0.0)
    storage.events.append(KILL)
    storage.events.append(KILL)
    assert storage.changed(0.0)
    assert not storage.changed(0.0)


def test_measurements_and_refusals_are_not(storage: Storage) -> None:
    """Events in bulk wake nobody, and neither does a change that was not made."""
    storage.events.extend([KILL] * 10)
    with pytest.raises(AliasConflict):
        storage.profiles.move("m", "calm", None, expect="sha256:other", actor="a", reason="")
    list(storage.profiles.all())
    storage.verify()
    assert not storage.changed(0.3)


def test_who_waits_is_woken(storage: Storage) -> None:
    """A follower blocked in its thread returns when another thread decides."""
    heard: list[bool] = []
    follower = threading.Thread(target=lambda: heard.append(storage.changed(60.0)))
    follower.start()
    storage.events.append(KILL)
    follower.join(30)
    assert heard == [True]


def test_who_waits_is_let_go(storage: Storage) -> None:
    """Closing a storage ends the wait with: nothing changed."""
    heard: list[bool] = []
    follower = threading.Thread(target=lambda: heard.append(storage.changed(60.0)))
    follower.start()
    storage.close()
    follower.join(30)
    assert heard == [False]


def test_two_storages_of_one_place_hear_each_other(shared_url: str, clock: VirtualClock) -> None:
    """As replicas do; a follower hears its own decisions too."""
    with opened(shared_url, clock=clock) as one, opened(shared_url, clock=clock) as two:
        one.events.append(KILL)
        assert two.changed(5.0)
        assert one.changed(5.0)
        assert not two.changed(0.0)


def test_a_file_is_looked_at_often_enough() -> None:
    """Another process's decision is looked for every 200 ms, five times inside the promised second."""
    assert POLL_S <= 0.2


@pytest.mark.parametrize("place", [MEMORY, "a file"])
def test_decisions_of_the_same_process_need_no_look(tmp_path: Path, clock: VirtualClock, place: str) -> None:
    """A follower that looks once an hour is woken by a decision of a thread beside it, and let go by closing."""
    path = MEMORY if place == MEMORY else str(tmp_path / "s.db")
    heard: list[bool] = []
    with Storage(Sqlite(path, poll_s=3600.0), clock) as storage:
        for end in (lambda: storage.events.append(KILL), storage.close):
            follower = threading.Thread(target=lambda: heard.append(storage.changed(3600.0)))
            follower.start()
            end()
            follower.join(30)
            assert not follower.is_alive()
    assert heard == [True, False]
