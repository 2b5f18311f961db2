"""A stream read with deadlines: what a deadline ends, and what it must not be blamed for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from symposia.backends.patience import patient
from symposia.backends.policy import Timeouts
from symposia.core.clock import VirtualClock
from symposia.core.errors import BackendError

QUICK = Timeouts(first_delta_s=5, idle_s=10, total_s=100)


async def stream(clock: VirtualClock, *waits: float) -> AsyncGenerator[int]:
    """An item after each wait."""
    for number, wait in enumerate(waits):
        await clock.sleep(wait)
        yield number


async def test_a_slow_reader_is_not_the_streams_fault() -> None:
    """The time between items counts while one is waited for; the time in all counts whoever needs it."""
    clock = VirtualClock()

    async def read(pause_s: float) -> list[int]:
        seen = []
        async with aclosing(patient(stream(clock, 1, 9, 9), QUICK, clock)) as items:
            async for item in items:
                seen.append(item)
                await clock.sleep(pause_s)
        return seen

    assert await clock.run(read(25)) == [0, 1, 2]
    with pytest.raises(BackendError, match="not finished after 100 s"):
        await clock.run(read(60))


async def test_a_cancellation_stays_one() -> None:
    """Whoever cancels the reader gets a cancelled reader, just before a deadline too; the stream is closed."""
    clock = VirtualClock()
    closed = []

    async def silent() -> AsyncGenerator[int]:
        try:
            await clock.sleep(1000)
            yield 0
        finally:
            closed.append(clock.monotonic())

    async def read() -> None:
        async with aclosing(patient(silent(), QUICK, clock)) as items:
            async for _ in items:
                pass

    for after_s in (1.0, 4.999):
        clock, closed[:] = VirtualClock(), []
        task = asyncio.ensure_future(read())
        await asyncio.sleep(0)
        clock.timer(after_s, task.cancel)
        await clock.advance(after_s)
        await asyncio.wait((task,))
        assert task.cancelled()
        assert closed == [after_s]


async def test_a_deadline_leaves_the_task_uncancelled() -> None:
    """Its reader goes on after the failure as if nothing had been cancelled."""
    clock = VirtualClock()

    async def read() -> int:
        with pytest.raises(BackendError, match="nothing came within 5 s") as caught:
            await anext(patient(stream(clock, 6), QUICK, clock))
        assert caught.value.cause == "timeout"
        await clock.sleep(1)
        task = asyncio.current_task()
        assert task is not None
        return task.cancelling()

    assert await clock.run(read()) == 0
    assert clock.monotonic() == 6
    assert clock.sleepers == 0
