"""Time as a value passed in: the real clock, and one that only moves when told to."""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Protocol, TypeVar

from .errors import InvalidInput

T = TypeVar("T")
_ROUNDS = 25  # event-loop rounds a woken task gets before time moves on


class Timer(Protocol):
    """A call that will be made when its time comes."""

    def cancel(self) -> object:
        """Do not make it any more."""
        ...


class Clock(Protocol):
    """Seconds since the epoch, seconds since some start, and waiting."""

    def time(self) -> float:
        """Seconds since the epoch; may jump."""
        ...

    def monotonic(self) -> float:
        """Seconds since an arbitrary start; never goes back."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait; zero or less only lets others run."""
        ...

    def timer(self, seconds: float, call: Callable[[], object]) -> Timer:
        """Make the call after that time, from the running event loop."""
        ...


class SystemClock:
    """The machine's clock."""

    def time(self) -> float:
        """Seconds since the epoch."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds since boot or so."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait in the running event loop."""
        await asyncio.sleep(max(seconds, 0.0))

    def timer(self, seconds: float, call: Callable[[], object]) -> Timer:
        """Make the call after that time, from the running event loop."""
        return asyncio.get_running_loop().call_later(max(seconds, 0.0), call)


class VirtualClock:
    """A clock for tests and simulations: `sleep` returns when `advance` has passed its deadline.

    Sleepers wake in order of deadline, then of arrival. A woken task runs, and may sleep again, at its own
    deadline, before a later sleeper wakes.
    """

    def __init__(self, start: float = 1_750_000_000.0) -> None:
        self._start = start
        self._now = 0.0
        self._order = count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._arrival: asyncio.Future[None] | None = None

    def time(self) -> float:
        """Virtual seconds since the epoch."""
        return self._start + self._now

    def monotonic(self) -> float:
        """Virtual seconds since the clock was made."""
        return self._now

    @property
    def sleepers(self) -> int:
        """How many tasks and timers wait for time to pass."""
        return sum(not future.done() for _, _, future in self._sleepers)

    async def sleep(self, seconds: float) -> None:
        """Wait until the clock has been advanced by `seconds`; zero or less only lets others run."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        await self._due(seconds)

    def timer(self, seconds: float, call: Callable[[], object]) -> Timer:
        """Make the call when the clock has been advanced by `seconds`."""
        future = self._due(max(seconds, 0.0))
        future.add_done_callback(lambda due: None if due.cancelled() else call())
        return future

    async def advance(self, seconds: float) -> None:
        """Move time forward, waking on the way everyone whose deadline is reached."""
        if seconds < 0:
            raise InvalidInput(f"advance({seconds}): time does not go back; expected seconds >= 0")
        until = self._now + seconds
        await _settle()
        while self._sleepers and self._sleepers[0][0] <= until:
            await self._wake_next()
        self._now = until

    async def run(self, awaitable: Awaitable[T]) -> T:
        """Drive time from deadline to deadline until `awaitable` is done; its result or exception."""
        task = asyncio.ensure_future(awaitable)
        try:
            await _settle()
            while not task.done():
                if self._sleepers:
                    await self._wake_next()
                else:  # it works, or waits for something other than time
                    self._arrival = asyncio.get_running_loop().create_future()
                    await asyncio.wait((task, self._arrival), return_when=asyncio.FIRST_COMPLETED)
            return await task
        finally:
            task.cancel()

    def _due(self, seconds: float) -> asyncio.Future[None]:
        """What is done when that much time has passed."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now + seconds, next(self._order), future))
        if self._arrival is not None and not self._arrival.done():
            self._arrival.set_result(None)
        return future

    async def _wake_next(self) -> None:
        deadline, _, future = heapq.heappop(self._sleepers)
        if future.done():  # its task was cancelled
            return
        self._now = max(self._now, deadline)
        future.set_result(None)
        await _settle()


async def _settle() -> None:
    for _ in range(_ROUNDS):
        await asyncio.sleep(0)
