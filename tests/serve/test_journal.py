"""The queue before the log: nothing is dropped, order is kept, and a full queue is told of in time."""

from __future__ import annotations

import threading

import pytest

from symposia.core.clock import SystemClock, VirtualClock
from symposia.core.errors import StoreUnreachable
from symposia.core.served import Draining, RequestServed
from symposia.core.store import Query
from symposia.serve.journal import Journal
from symposia.store import opened
from tests.serving import until


def served(n: int) -> RequestServed:
    return RequestServed(request_id=str(n), status=200, outcome="ok", latency_ms=1.0)


def test_what_is_emitted_is_in_the_log_in_order():
    clock = SystemClock()
    with opened("memory", clock=clock) as storage:
        journal = Journal(storage.events, clock)
        journal.start()
        for n in range(2500):
            journal.emit(served(n))
        journal.emit(Draining(on=True, actor="test"), "server")
        journal.close()
        ids = [record.event.request_id for record in storage.events.read(Query(stream="requests"))]
        assert ids == [str(n) for n in range(2500)]
        assert storage.events.length("server") == 1
        assert journal.waiting == 0


class Failing:
    """A store that cannot be reached until it is let."""

    def __init__(self) -> None:
        self.let, self.kept, self.tries = threading.Event(), [], 0

    def extend(self, entries):
        self.tries += 1
        if not self.let.is_set():
            raise StoreUnreachable("gone")
        self.kept += entries


def test_while_the_store_is_away_events_wait_and_then_all_are_written():
    store, clock = Failing(), SystemClock()
    journal = Journal(store, clock)
    journal.start()
    for n in range(10):
        journal.emit(served(n))
    until(lambda: store.tries >= 1)
    assert journal.waiting == 10
    until(lambda: journal.failing_s > 0)
    store.let.set()
    until(lambda: journal.waiting == 0)
    until(lambda: journal.failing_s == 0)
    assert [entry.event.request_id for entry in store.kept] == [str(n) for n in range(10)]
    journal.close()


async def test_a_full_queue_is_waited_for_a_second_and_no_longer():
    clock = VirtualClock()
    journal = Journal(Failing(), clock, capacity=3)
    for n in range(3):
        journal.emit(served(n))
    assert journal.full
    before = clock.monotonic()
    assert await clock.run(journal.room()) is False
    assert 0.99 <= clock.monotonic() - before <= 1.01


def test_listeners_hear_at_once():
    heard = []
    journal = Journal(Failing(), SystemClock(), listeners=(lambda time, event: heard.append((time, event)),))
    journal.emit(served(1))
    assert [event.request_id for _, event in heard] == ["1"]
    with pytest.raises(StoreUnreachable):
        journal.flush()


def test_what_is_done_with_every_beat_is_done_while_the_store_is_away_and_at_the_end():
    beats = []
    journal = Journal(Failing(), SystemClock(), beats=(lambda: beats.append(journal.waiting),))
    journal.start()
    journal.emit(served(1))
    until(lambda: 1 in beats)
    before = len(beats)
    journal.close()
    assert len(beats) > before


def test_an_event_that_no_store_holds_is_told_of_and_holds_up_nothing():
    clock, told = SystemClock(), []
    with opened("memory", clock=clock) as storage:
        journal = Journal(storage.events, clock, spoiled=told.append)
        for n in range(5):
            journal.emit(served(n))
        journal.emit(RequestServed(request_id="bad", status=200, outcome="ok", latency_ms=float("nan")))
        journal.emit(served(5))
        journal.flush()
        kept = [record.event.request_id for record in storage.events.read(Query())]
        assert kept == [str(n) for n in range(6)]
        assert journal.waiting == 0
        assert ["latency_ms" in str(error) for error in told] == [True]
