"""Virtual time moves only when told to, and wakes sleepers in order."""

from __future__ import annotations

import asyncio
import time

import pytest

from symposia.core.clock import Clock, SystemClock, VirtualClock
from symposia.core.errors import InvalidInput


async def test_sleepers_wake_in_order_at_their_own_time() -> None:
    """Deadlines decide the order, arrival breaks ties, and a woken task may sleep again on the way."""
    clock = VirtualClock()
    log: list[tuple[str, float]] = []

    async def nap(name: str, *seconds: float) -> None:
        for wait in seconds:
            await clock.sleep(wait)
            log.append((name, clock.monotonic()))

    async with asyncio.TaskGroup() as group:
        for name, naps in {"late": (3.0,), "twice": (1.0, 1.0), "tie": (3.0,)}.items():
            group.create_task(nap(name, *naps))
        await clock.advance(5.0)
    assert log == [("twice", 1.0), ("twice", 2.0), ("late", 3.0), ("tie", 3.0)]
    assert clock.monotonic() == 5.0


async def test_time_stands_still_by_itself() -> None:
    """Nobody wakes before the deadline is reached."""
    clock = VirtualClock(start=100.0)
    task = asyncio.create_task(clock.sleep(10))
    await clock.advance(9.999)
    assert not task.done()
    assert clock.sleepers == 1
    await clock.advance(0.001)
    assert task.done()
    assert clock.time() == pytest.approx(110.0)


async def test_cancelled_sleepers_are_forgotten() -> None:
    """A cancelled sleep neither wakes nor blocks the others."""
    clock = VirtualClock()
    gone, stays = asyncio.create_task(clock.sleep(1)), asyncio.create_task(clock.sleep(2))
    await asyncio.sleep(0)
    gone.cancel()
    await clock.advance(2)
    assert gone.cancelled()
    assert stays.done()
    assert clock.sleepers == 0


async def test_a_timer_calls_at_its_own_time() -> None:
    """Once, when its deadline is reached and not before; not at all once it is cancelled."""
    clock = VirtualClock()
    rung: list[float] = []
    gone = clock.timer(1, lambda: rung.append(-1.0))
    clock.timer(2, lambda: rung.append(clock.monotonic()))
    gone.cancel()
    await clock.advance(1.9)
    assert rung == []
    await clock.advance(5)
    assert rung == [2.0]
    done = asyncio.Event()
    SystemClock().timer(0, done.set)
    await done.wait()


async def test_run_drives_time_to_the_end() -> None:
    """`run` passes hours in no time and gives the result, or the exception."""
    clock = VirtualClock()

    async def work() -> str:
        for _ in range(3):
            await clock.sleep(3600)
        return "done"

    began = time.monotonic()
    assert await clock.run(work()) == "done"
    assert clock.monotonic() == 3 * 3600
    assert time.monotonic() - began < 5

    async def fails() -> None:
        await clock.sleep(1)
        raise OSError("no")

    with pytest.raises(OSError, match="no"):
        await clock.run(fails())


async def test_zero_sleep_lets_others_run() -> None:
    """Sleeping for nothing yields once and needs no advance."""
    for clock in (VirtualClock(), SystemClock()):
        await clock.sleep(0)
        await clock.sleep(-1)


async def test_time_does_not_go_back() -> None:
    """A negative advance is refused."""
    with pytest.raises(InvalidInput, match="go back"):
        await VirtualClock().advance(-1)


def test_the_system_clock_is_the_system_clock() -> None:
    """It reads the machine's time."""
    clock: Clock = SystemClock()
    assert abs(clock.time() - time.time()) < 5
    assert clock.monotonic() <= time.monotonic()


async def test_run_waits_for_whoever_works_between_two_sleeps() -> None:
    """A task that takes many turns of the event loop before it sleeps again is driven on, not left waiting."""
    clock = VirtualClock()

    async def slow_worker() -> float:
        for _ in range(3):
            for _ in range(500):
                await asyncio.sleep(0)
            await clock.sleep(10)
        return clock.monotonic()

    assert await clock.run(slow_worker()) == 30.0
