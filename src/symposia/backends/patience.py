"""A stream read with deadlines on an injected clock: to the first item, between two, and in all.

A deadline cancels the task that waits for the next item, as `asyncio.timeout` does, and that cancellation becomes the
failure; one that comes from elsewhere stays what it is. Whoever reads slowly is not the stream's fault: while nobody
waits for an item, only the time in all goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TypeVar

from symposia.core.clock import Clock

from .causes import AttemptFailed, lost
from .policy import Timeouts

T = TypeVar("T")


async def patient(stream: AsyncGenerator[T], timeouts: Timeouts, clock: Clock) -> AsyncGenerator[T]:
    """What `stream` yields; `AttemptFailed(timeout)` where it keeps us waiting too long. Every exit closes it."""
    async with aclosing(stream):
        watch = _Watch(timeouts, clock)
        try:
            watch.waits()
            async for item in stream:
                watch.heard()
                yield item
                watch.waits()
        except asyncio.CancelledError:
            if watch.fired():
                raise watch.failure() from None
            raise
        finally:
            watch.end()


class _Watch:
    """Who waits for a stream's next item, since when, and the timer of the nearest deadline."""

    def __init__(self, timeouts: Timeouts, clock: Clock) -> None:
        self._timeouts, self._clock = timeouts, clock
        self._began = self._since = clock.monotonic()
        self._first = True
        self._task: asyncio.Task[object] | None = None
        self._cancelling = 0
        self._late = ""
        self._timer = clock.timer(min(timeouts.first_delta_s, timeouts.idle_s, timeouts.total_s), self._look)

    def waits(self) -> None:
        """An item is waited for from now on, by this task."""
        if self._late:
            raise self.failure()
        if not self._first:
            self._since = self._clock.monotonic()
        self._task = asyncio.current_task()
        self._cancelling = self._task.cancelling() if self._task else 0

    def heard(self) -> None:
        """One came."""
        self._task, self._first = None, False

    def fired(self) -> bool:
        """Whether a deadline cancelled the task, and nobody else did."""
        return bool(self._late) and self._task is not None and self._task.uncancel() <= self._cancelling

    def failure(self) -> AttemptFailed:
        """What the deadline that has passed comes to."""
        return lost("timeout").error(f"timed out: {self._late}")

    def end(self) -> None:
        """Nothing is waited for any more."""
        self._timer.cancel()

    def _look(self) -> None:
        """Give up at a deadline. None moves nearer than `idle_s`, so none is slept through."""
        due, late = self._deadline()
        left = due - self._clock.monotonic()
        if left > 0:
            self._timer = self._clock.timer(min(left, self._timeouts.idle_s), self._look)
            return
        self._late = late
        if self._task is not None:
            self._task.cancel()

    def _deadline(self) -> tuple[float, str]:
        """When to give up, and what will have been waited for."""
        timeouts = self._timeouts
        first, idle, total = timeouts.first_delta_s, timeouts.idle_s, timeouts.total_s
        whole = (self._began + total, f"not finished after {total:g} s")
        if self._first:
            return min((self._began + first, f"nothing came within {first:g} s"), whole)
        if self._task is None:
            return whole
        return min((self._since + idle, f"nothing more came within {idle:g} s"), whole)
