"""Four limits on one exchange with a server: to connect, to its first sign, between two signs, in all.

Kept on the clock given by one task that sleeps towards the nearest limit and looks again, so that a piece costs no
timer. A server is not blamed for the time its listener takes between two pieces.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Literal

from symposia.core.clock import Clock

from .causes import AttemptFailed, Failure
from .policy import Timeouts

Wait = Literal["connect", "first_token", "idle", "total"]
"""Which limit it was: the `code` of a `BackendError` with cause `timeout`."""

_WORDS: dict[Wait, str] = {
    "connect": "no connection within",
    "first_token": "nothing came within",
    "idle": "nothing more came within",
    "total": "not finished after",
}


class Waits:
    """Runs until `stop`. Past a limit, `late` names it and what `ends` was given is called."""

    def __init__(self, timeouts: Timeouts, clock: Clock) -> None:
        self._timeouts, self._clock = timeouts, clock
        self._limits: dict[Wait, float] = {
            "connect": timeouts.connect_s,
            "first_token": timeouts.first_delta_s,
            "idle": timeouts.idle_s,
            "total": timeouts.total_s,
        }
        self._began = clock.monotonic()
        self._since: float | None = self._began
        self._for: Wait = "connect"
        self._end: Callable[[], object] = _nothing
        self.late: Wait | None = None
        self._task = asyncio.ensure_future(self._watch())

    def ends(self, end: Callable[[], object]) -> None:
        """What is called past a limit from here on."""
        self._end = end

    def connected(self) -> None:
        """There is a connection: its first sign is waited for."""
        if self._for == "connect":
            self._for, self._since = "first_token", self._clock.monotonic()

    def heard(self) -> None:
        """A sign came; until `listening` nobody waits for the next."""
        self._for, self._since = "idle", None

    def listening(self) -> None:
        """The next sign is waited for, from now if not already."""
        if self._since is None:
            self._since = self._clock.monotonic()

    def stop(self) -> None:
        """Look no more."""
        self._task.cancel()

    def failed(self) -> AttemptFailed:
        """The failure to raise once it is late."""
        assert self.late is not None
        failure = Failure(cause="timeout", retried=True, code=self.late)
        return failure.error(f"timed out ({self.late}): {_WORDS[self.late]} {self._limits[self.late]:g} s")

    async def _watch(self) -> None:
        shortest = min(self._limits.values())  # so that no limit that moves nearer is slept through
        while True:
            due, which = self._nearest()
            left = due - self._clock.monotonic()
            if left <= 0:
                self.late = which
                self._end()
                return
            await self._clock.sleep(min(left, shortest))

    def _nearest(self) -> tuple[float, Wait]:
        whole: tuple[float, Wait] = (self._began + self._limits["total"], "total")
        due = math.inf if self._since is None else self._since + self._limits[self._for]
        return min((due, self._for), whole)


def _nothing() -> None:
    pass
