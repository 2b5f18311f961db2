"""A stream read with deadlines on an injected clock: to the first item, between two, and in all.

The stream is read in a task of its own, so that a deadline, a cancellation and an early close all end it the same
way: that task is cancelled, and waited for.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Generic, TypeVar

from symposia.core.clock import Clock

from .causes import lost
from .policy import Timeouts

T = TypeVar("T")


async def patient(stream: AsyncGenerator[T], timeouts: Timeouts, clock: Clock) -> AsyncGenerator[T]:
    """What `stream` yields; `AttemptFailed(timeout)` where it keeps us waiting too long. Every exit closes it."""
    reading = _Reading(stream, timeouts, clock)
    watch = asyncio.ensure_future(reading.watch())
    try:
        async for item in reading.items():
            yield item
        reading.check()
    finally:
        watch.cancel()
        await reading.close()


class _Reading(Generic[T]):
    """A stream, the task that reads it, and when it was last heard."""

    def __init__(self, stream: AsyncGenerator[T], timeouts: Timeouts, clock: Clock) -> None:
        self._timeouts, self._clock = timeouts, clock
        self._items: deque[T] = deque()
        self._news = asyncio.Event()
        self._late = ""
        self._began = clock.monotonic()
        self._heard: float | None = None
        self._pump = asyncio.ensure_future(self._read(stream))
        self._pump.add_done_callback(lambda _: self._news.set())

    async def _read(self, stream: AsyncGenerator[T]) -> None:
        async with aclosing(stream):
            async for item in stream:
                self._heard = self._clock.monotonic()
                self._items.append(item)
                self._news.set()

    async def items(self) -> AsyncGenerator[T]:
        """What was read, as it comes, to the end or the failure of the reading."""
        while self._items or not self._pump.done():
            if self._items:
                yield self._items.popleft()
            else:
                self._news.clear()
                await self._news.wait()

    def check(self) -> None:
        """Raise what the reading ended with, if that was not the end of the stream."""
        if self._pump.cancelled():
            raise lost("timeout").error(f"timed out: {self._late}")
        self._pump.result()

    async def watch(self) -> None:
        """Cancel the reading at its deadline. No deadline moves nearer than `idle_s`, so none is slept through."""
        while True:
            due, self._late = self._deadline()
            left = due - self._clock.monotonic()
            if left <= 0:
                self._pump.cancel()
                return
            await self._clock.sleep(min(left, self._timeouts.idle_s))

    def _deadline(self) -> tuple[float, str]:
        """When to give up, and what will have been waited for."""
        timeouts = self._timeouts
        first, idle, total = timeouts.first_delta_s, timeouts.idle_s, timeouts.total_s
        whole = (self._began + total, f"not finished after {total:g} s")
        if self._heard is None:
            return min((self._began + first, f"nothing came within {first:g} s"), whole)
        return min((self._heard + idle, f"nothing more came within {idle:g} s"), whole)

    async def close(self) -> None:
        """End the reading, and with it the stream; what it still fails with is of no interest."""
        self._pump.cancel()
        await asyncio.wait((self._pump,))
        if not self._pump.cancelled():
            self._pump.exception()
