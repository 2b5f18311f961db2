"""One queue of calls per endpoint and key, first come first served: `async with governor.lease(tokens) as lease`.

`Pace` decides; here is the waiting. A lease settles on every exit, cancellation included. Safe from several event
loops at once.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Mapping
from typing import Self

from symposia.core.clock import Clock
from symposia.core.errors import BackendError

from .pace import Grant, Pace
from .remaining import remaining


class Governor:
    """Keeps an endpoint's limits for everybody in the process who uses its key.

    `rpm`, `tpm`: requests and tokens over any 60 s, None for no limit; `concurrency`: calls in flight at most.
    """

    def __init__(
        self,
        endpoint: str,
        *,
        clock: Clock,
        rpm: int | None = None,
        tpm: int | None = None,
        concurrency: int = 64,
    ) -> None:
        self.endpoint = endpoint
        self._clock = clock
        self._pace = Pace(rpm, tpm, concurrency)
        self._lock = threading.Lock()
        self._queue: deque[_Waiter] = deque()

    @property
    def in_flight(self) -> int:
        """Leases held."""
        return self._pace.flying

    @property
    def cap(self) -> int:
        """Leases that may be held at once by now."""
        return self._pace.cap

    @property
    def settled(self) -> int:
        """Tokens of all calls that were answered."""
        return self._pace.settled

    def lease(self, tokens: int) -> Lease:
        """Permission for one attempt of at most `tokens`, prompt and reply; waits its turn when entered.

        Raises `BackendError(too_large)` if no minute could ever hold it.
        """
        if self._pace.tpm is not None and tokens > self._pace.tpm:
            raise BackendError(
                f"{self.endpoint}: a call of up to {tokens} tokens (prompt and max_tokens) can never pass its limit of "
                f"{self._pace.tpm} a minute; lower max_tokens, shorten the prompt, or raise tpm",
                cause="too_large",
                attempts=0,
            )
        return Lease(self, self._pace, self._lock, self._clock, tokens=tokens)

    def pause(self, seconds: float) -> None:
        """Let no call begin for that long: the endpoint said so."""
        with self._lock:
            self._pace.pause(self._clock.monotonic() + seconds)

    async def enter(self, tokens: int) -> Grant:
        """Wait for one's turn."""
        with self._lock:
            now = self._clock.monotonic()
            if not self._queue and self._pace.due(now, tokens) == now:
                return self._pace.grant(now, tokens)
            waiter = _Waiter(tokens)
            self._queue.append(waiter)
            self._admit()
        try:
            while waiter.grant is None:
                await waiter.nudged(self._clock)
                with self._lock:
                    self._admit()
        except BaseException:
            self._withdraw(waiter)
            raise
        return waiter.grant

    def leave(self) -> None:
        """A call ended: the next may have its place."""
        with self._lock:
            self._pace.leave()
            self._admit()

    def _withdraw(self, waiter: _Waiter) -> None:
        """Cancelled while waiting, or just after its turn came."""
        with self._lock:
            if waiter.grant is None:
                self._queue.remove(waiter)
            else:
                self._pace.settle(waiter.grant, 0)
                self._pace.leave()
            self._admit()

    def _admit(self) -> None:
        """Let go whoever may, in order; tell the first who may not when to ask again."""
        now = self._clock.monotonic()
        while self._queue:
            first = self._queue[0]
            due = self._pace.due(now, first.tokens)
            if due is None or due > now:
                first.ask_again(due)
                return
            self._queue.popleft()
            first.go(self._pace.grant(now, first.tokens))


class Lease:
    """One attempt's permission. Where nothing is said before its end, it keeps counting as what was reserved."""

    def __init__(
        self, governor: Governor, pace: Pace, lock: threading.Lock, clock: Clock, *, tokens: int
    ) -> None:
        self._governor, self._pace, self._lock, self._clock = governor, pace, lock, clock
        self._tokens = tokens
        self._grant: Grant | None = None

    async def __aenter__(self) -> Self:
        self._grant = await self._governor.enter(self._tokens)
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._governor.leave()

    def answered(self, tokens: int) -> None:
        """The call was answered in full and used `tokens`, prompt and reply."""
        with self._lock:
            self._pace.answered(self._held, tokens)

    def unused(self) -> None:
        """The endpoint did no work for the call: its tokens are given back, its request is not."""
        with self._lock:
            self._pace.settle(self._held, 0)

    def refused(self) -> None:
        """The endpoint said: too much at once."""
        with self._lock:
            self._pace.refused(self._held)

    def heard(self, headers: Mapping[str, str]) -> None:
        """Believe what a reply's headers say is left. Names in lower case, or a case-insensitive mapping."""
        said = remaining(headers, self._clock.time())
        with self._lock:
            self._pace.believe(self._held, said, self._clock.monotonic())

    @property
    def _held(self) -> Grant:
        assert self._grant is not None, "a lease is used inside its `async with`"
        return self._grant


class _Waiter:
    """Somebody in the queue, on some event loop. Told under the governor's lock, from any thread."""

    def __init__(self, tokens: int) -> None:
        self.tokens = tokens
        self.grant: Grant | None = None
        self._due: float | None = None
        self._loop = asyncio.get_running_loop()
        self._event = asyncio.Event()

    def go(self, grant: Grant) -> None:
        self.grant = grant
        self._loop.call_soon_threadsafe(self._event.set)

    def ask_again(self, due: float | None) -> None:
        """Come back at `due`; None: when somebody leaves."""
        if due != self._due:
            self._due = due
            self._loop.call_soon_threadsafe(self._event.set)

    async def nudged(self, clock: Clock) -> None:
        """Wait until told, or until it is time to ask again."""
        tasks: list[asyncio.Future[None]] = [asyncio.ensure_future(self._told())]
        if self._due is not None:
            tasks.append(asyncio.ensure_future(clock.sleep(self._due - clock.monotonic())))
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
        self._event.clear()

    async def _told(self) -> None:
        await self._event.wait()
