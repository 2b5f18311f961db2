"""The event log keeps what it is given, in order, and refuses the second of two decisions."""

from __future__ import annotations

import threading

import pytest

from symposia.core.clock import VirtualClock
from symposia.core.errors import InvalidInput, StoreUnreachable
from symposia.core.events import ConversationStarted
from symposia.core.served import BudgetWarning, Draining, RequestServed
from symposia.core.store import Conflict, Entry, Query
from symposia.store import Storage, opened


def entry(n: int = 0, *, stream: str = "server", time: float = 1.0) -> Entry:
    return Entry(event=Draining(on=True, actor="a", reason=str(n)), stream=stream, time=time)


def test_numbers_count_the_log_and_positions_their_stream(storage: Storage) -> None:
    """`seq` goes on over streams, `position` within one, and a record returned is the record read."""
    made = [storage.events.append(entry(n, stream=s)) for n, s in enumerate("abaab")]
    assert [r.seq for r in made] == [1, 2, 3, 4, 5]
    assert [r.position for r in made] == [1, 1, 2, 3, 2]
    assert list(storage.events.read(Query())) == made
    assert [storage.events.length(s) for s in "abc"] == [3, 2, 0]


def test_expect_lets_one_decision_in(storage: Storage) -> None:
    """An append that expects another length raises `Conflict` with the true one, and changes nothing."""
    storage.events.append(entry(), expect=0)
    for wrong in (0, 2):
        with pytest.raises(Conflict) as caught:
            storage.events.append(entry(1), expect=wrong)
        assert (caught.value.expected, caught.value.found) == (wrong, 1)
    assert storage.events.length("server") == 1
    assert storage.events.append(entry(1), expect=1).position == 2


def test_events_of_runs_and_of_servers_share_the_log(storage: Storage) -> None:
    """Both unions are read back as what they were."""
    run = Entry(event=ConversationStarted(messages=1, participants=("ann",)), stream="run", time=0.5)
    storage.events.extend([run, entry()])
    assert [r.event for r in storage.events.read(Query())] == [run.event, entry().event]


def test_a_query_narrows(storage: Storage) -> None:
    """Number, stream, types, time and limit each leave out what they say, and together."""
    served = RequestServed(request_id="r", status=200, outcome="ok", latency_ms=1)
    storage.events.extend(
        [
            Entry(
                event=served if n % 2 else entry(n).event,
                stream="requests" if n % 2 else "server",
                time=float(n),
            )
            for n in range(2500)
        ]
    )

    def seqs(**asked: object) -> list[int]:
        return [r.seq for r in storage.events.read(Query(**asked))]

    assert seqs() == list(range(1, 2501))
    assert seqs(after=2490, stream="requests") == [2492, 2494, 2496, 2498, 2500]
    assert seqs(types=("draining",), since=2490.0) == [2491, 2493, 2495, 2497, 2499]
    assert seqs(stream="requests", limit=1100) == list(range(2, 2201, 2))
    assert seqs(since=9999.0) == seqs(after=2500) == seqs(limit=0) == seqs(stream="none") == []


def test_many_are_kept_or_none(storage: Storage) -> None:
    """One event that cannot be stored, and nothing of its batch is."""
    bad = BudgetWarning(pool="p", field="tokens", used=1, reserved=0, limit=1, fraction=float("nan"))
    with pytest.raises(InvalidInput, match="fraction"):
        storage.events.extend([entry(), Entry(event=bad, stream="budget", time=1.0), entry()])
    with pytest.raises(InvalidInput, match="time of event Draining"):
        storage.events.extend([entry(), entry(time=float("inf"))])
    assert storage.events.length("server") == 0
    assert list(storage.events.read(Query())) == []
    storage.events.extend([])
    assert storage.events.append(entry()).seq == 1


def test_threads_share_a_storage(storage: Storage) -> None:
    """Writers and readers in threads of one process lose and repeat nothing."""
    seen: list[int] = []

    def write(stream: str) -> None:
        for n in range(40):
            storage.events.extend([entry(n, stream=stream), entry(n, stream=stream)])

    def read() -> None:
        while len(seen) < 320:
            seen.extend(r.seq for r in storage.events.read(Query(after=seen[-1] if seen else 0)))

    threads = [threading.Thread(target=write, args=(s,)) for s in "abcd"] + [threading.Thread(target=read)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert seen == list(range(1, 321))


def test_it_is_there_when_opened_again(shared_url: str, clock: VirtualClock) -> None:
    """A storage that was closed says so; opened again it holds what it held, and goes on counting."""
    with opened(shared_url, clock=clock) as first:
        first.events.append(entry())
    with pytest.raises(StoreUnreachable, match="closed"):
        first.events.length("server")
    with opened(shared_url, clock=clock) as again:
        assert again.events.append(entry(1), expect=1).seq == 2
