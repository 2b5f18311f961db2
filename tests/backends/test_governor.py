"""The governor, case by case. The law it keeps is promise 11's."""

from __future__ import annotations

import asyncio
import threading

import pytest

from symposia.backends.gates import Gates, Limits
from symposia.backends.governor import Governor
from symposia.core.clock import SystemClock, VirtualClock
from symposia.core.errors import BackendError, InvalidInput
from symposia.core.redact import Secret
from tests.backends.crowd import Crowd


async def test_a_place_given_in_the_moment_of_cancelling_comes_back() -> None:
    """Cancelled just after its turn came and before it knew: the next one takes the place."""
    clock = VirtualClock()
    crowd = Crowd(Governor("x", clock=clock, tpm=200, concurrency=1), clock)
    tasks = [asyncio.ensure_future(crowd.call(n, 100, 5, "answered")) for n in range(2)]
    await clock.advance(1)
    async with asyncio.timeout(5):
        tasks[0].add_done_callback(lambda _: tasks[1].cancel())
        await clock.run(asyncio.gather(*tasks, return_exceptions=True))
        await clock.run(crowd.call(2, 150, 0, "answered"))
    assert crowd.order == [0, 2]
    assert crowd.begun[2][0] == 5, "neither place nor tokens of the cancelled call are held"
    assert crowd.governor.in_flight == 0


async def test_the_first_in_the_queue_is_first() -> None:
    """A small call does not overtake a large one that waits for tokens."""
    clock = VirtualClock()
    crowd = Crowd(Governor("x", clock=clock, tpm=100), clock)
    sizes = [90, 80, 5]
    await clock.run(asyncio.gather(*(crowd.call(n, size, 1, "left") for n, size in enumerate(sizes))))
    assert crowd.order == [0, 1, 2]
    assert [crowd.begun[n][0] for n in range(3)] == [0, 60, 60]


async def test_what_was_not_used_goes_to_who_waits() -> None:
    """A settlement below the reservation lets the next begin at once, not a minute later."""
    clock = VirtualClock()
    crowd = Crowd(Governor("x", clock=clock, tpm=100), clock)
    await clock.run(asyncio.gather(crowd.call(0, 90, 7, "answered"), crowd.call(1, 50, 1, "left")))
    assert crowd.begun[1][0] == 7


async def test_what_can_never_pass_is_refused_at_once() -> None:
    """Larger than tpm: too_large, with the numbers, before waiting for anybody."""
    governor = Governor("x", clock=VirtualClock(), tpm=100)
    with pytest.raises(BackendError, match=r"101 tokens .* limit of 100") as caught:
        governor.lease(101)
    assert (caught.value.cause, caught.value.attempts) == ("too_large", 0)


async def test_a_pause_is_for_everybody() -> None:
    """Callers who arrive during a pause begin when it ends, in order."""
    clock = VirtualClock()
    crowd = Crowd(Governor("x", clock=clock), clock)
    crowd.governor.pause(12.5)
    await clock.run(asyncio.gather(*(crowd.call(n, 1, 0, "left") for n in range(9))))
    assert {at for at, _ in crowd.begun.values()} == {12.5}
    assert crowd.order == list(range(9))


async def test_a_replys_headers_are_believed() -> None:
    """After `remaining: 0` nobody begins before the reset the server names."""
    clock = VirtualClock()
    crowd = Crowd(Governor("x", clock=clock), clock)
    async with crowd.governor.lease(1) as lease:
        lease.heard({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "30s"})
    await clock.run(crowd.call(0, 1, 0, "left"))
    assert crowd.begun[0][0] == 30


def test_one_governor_serves_several_event_loops() -> None:
    """Threads with loops of their own share one cap; nobody is left waiting."""
    governor, most, lock = Governor("x", clock=SystemClock(), concurrency=2), [0], threading.Lock()

    async def call() -> None:
        async with governor.lease(1) as lease:
            with lock:
                most[0] = max(most[0], governor.in_flight)
            await asyncio.sleep(0)
            lease.answered(1)

    async def crowd() -> None:
        await asyncio.gather(*(call() for _ in range(50)))

    threads = [threading.Thread(target=asyncio.run, args=(crowd(),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert governor.settled == 200
    assert most[0] == 2
    assert governor.in_flight == 0


def test_one_gate_for_each_server_and_key() -> None:
    """Two names for one account share its limits; another key or server has its own; contradictions are refused."""
    gates, key = Gates(VirtualClock()), Secret("k" * 12)
    one = gates.at("a", "https://x.test/v1", key, Limits(rpm=5))
    assert gates.at("b", "https://x.test/v1/", Secret("k" * 12), Limits(rpm=5)) is one
    assert gates.at("b", "https://x.test/v1", Secret("other"), Limits(rpm=5)) is not one
    assert gates.at("b", "https://y.test/v1", key, Limits(rpm=5)) is not one
    with pytest.raises(InvalidInput, match="b and a share one server and key"):
        gates.at("b", "https://x.test/v1", key, Limits(rpm=6))
