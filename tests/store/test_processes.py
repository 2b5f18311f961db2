"""Several processes on one store: one winner each time, nothing acknowledged is lost, changes are heard at once."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from subprocess import Popen

import pytest

from symposia.core.clock import SystemClock
from symposia.core.profile import Profile
from symposia.core.store import Query
from symposia.store import opened
from tests.store.processes import MODEL, entry, started

pytestmark = pytest.mark.slow


@contextmanager
def running(*processes: Popen[str]) -> Iterator[tuple[Popen[str], ...]]:
    """Processes that are gone, and reaped, when left."""
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def told(process: Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def tell(process: Popen[str], line: str = "") -> None:
    assert process.stdin is not None
    process.stdin.write(line + "\n")
    process.stdin.flush()


def test_of_equal_movers_one_wins(shared_url: str) -> None:
    """Four processes move one alias, all expecting where it is; each round exactly one does, the others see it."""
    rounds = 8
    with running(*(started("mover", shared_url, f"mover {n}", rounds) for n in range(4))) as movers:
        current = ""
        for _ in range(rounds):
            assert [told(mover) for mover in movers] == ["ready"] * 4
            for mover in movers:
                tell(mover, current)
            answers = [told(mover).split() for mover in movers]
            won = [answer for answer in answers if answer[0] == "won"]
            assert len(won) == 1
            current = won[0][1]
            assert all(answer[1] == current for answer in answers)
    with opened(shared_url, clock=SystemClock()) as storage:
        history = storage.profiles.history(MODEL, "champion")
        assert len(history) == rounds
        assert [move.before for move in history[1:]] == [move.after for move in history[:-1]]
        assert storage.verify().flaws == ()


def test_of_equal_appends_one_enters(shared_url: str) -> None:
    """Processes racing for each place of a stream win every place once."""
    goal = 60
    with running(*(started("racer", shared_url, f"racer {n}", goal) for n in range(3))) as racers:
        assert [told(racer) for racer in racers] == ["ready"] * 3
        for racer in racers:
            tell(racer)
        won = [int(line) for racer in racers for line in racer.communicate(timeout=60)[0].split()]
    assert sorted(won) == list(range(1, goal + 1))
    with opened(shared_url, clock=SystemClock()) as storage:
        assert [r.position for r in storage.events.read(Query(stream="race"))] == list(range(1, goal + 1))


def test_what_was_acknowledged_outlives_a_kill(shared_url: str) -> None:
    """`kill -9` while appending, five times: every event that was told is there, whole, at most one more."""
    for n in range(5):
        name = f"writer {n}"
        with running(started("appender", shared_url, name)) as (writer,):
            assert told(writer) == "ready"
            tell(writer)
            for _ in range(10 * (n + 1)):
                last = int(told(writer))
            os.kill(writer.pid, signal.SIGKILL)
            last = max(last, *map(int, writer.communicate()[0].split()), 0)
        with opened(shared_url, clock=SystemClock()) as storage:
            kept = [record.event for record in storage.events.read(Query(stream=name))]
        assert kept == [entry(name, i).event for i in range(1, len(kept) + 1)]
        assert len(kept) in (last, last + 1)


def test_a_change_is_heard_from_another_process(shared_url: str) -> None:
    """Within a second; telemetry written in bulk is not a change."""
    with opened(shared_url, clock=SystemClock()) as storage:
        with running(started("mover", shared_url, "other", 1)) as (mover,):
            assert told(mover) == "ready"  # it has put its profile
            assert storage.changed(1.0)
            assert not storage.changed(0.0)
            tell(mover)
            before = time.monotonic()
            assert storage.changed(10.0)
            heard_s = time.monotonic() - before
            assert told(mover).startswith("won")
        assert heard_s < 5.0  # the machine may be busy; the feed's own period is bounded in test_changes
        storage.events.extend([entry("requests", 1)])
        assert not storage.changed(0.3)


def test_many_may_open_an_empty_store_at_once(shared_url: str) -> None:
    """The tables are made once, whoever comes first."""
    with running(*(started("opener", shared_url) for _ in range(6))) as openers:
        said = [process.communicate(timeout=60)[0] for process in openers]
        assert [process.returncode for process in openers] == [0] * 6
    assert all(line.startswith("open") for line in said)
    with opened(shared_url, clock=SystemClock()) as storage:
        assert storage.profiles.put(Profile(model=MODEL), actor="a")
