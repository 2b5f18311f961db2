"""Four limits on one exchange with a server: to connect, to its first sign, between two signs, in all.

One task looks at all exchanges of a loop ten times a second, by the clock given, so that neither a request nor a piece
costs a timer. A server is not blamed for the time its listener takes between two pieces.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Literal

from symposia.core.clock import Clock

from .causes import AttemptFailed, Failure
from .policy import Timeouts

TICK_S = 0.1

Wait = Literal["connect", "first_token", "idle", "total"]
"""Which limit it was: the `code` of a `BackendError` with cause `timeout`."""

_WORDS: dict[Wait, str] = {
    "connect": "no connection within",
    "first_token": "nothing came within",
    "idle": "nothing more came within",
    "total": "not finished after",
}


class Waits:
    """One exchange. Past a limit, `late` names it and what `ends` was given is called, once."""

    __slots__ = ("_began", "_end", "_for", "_now", "_since", "_timeouts", "late")

    def __init__(self, timeouts: Timeouts, clock: Clock) -> None:
        self._timeouts, self._now = timeouts, clock.monotonic
        self._began = self._now()
        self._since: float | None = self._began
        self._for: Wait = "connect"
        self._end: Callable[[], object] | None = None
        self.late: Wait | None = None

    def ends(self, end: Callable[[], object] | None) -> None:
        """What is called past a limit from here on; None: nothing."""
        self._end = end

    def connected(self) -> None:
        """There is a connection: its first sign is waited for."""
        if self._for == "connect":
            self._for, self._since = "first_token", self._now()

    def heard(self) -> None:
        """A sign came; until `listening` nobody waits for the next."""
        self._for, self._since = "idle", None

    def listening(self) -> None:
        """The next sign is waited for, from now if not already."""
        if self._since is None:
            self._since = self._now()

    def look(self, now: float) -> None:
        """End it if it is past a limit."""
        due, which = self._nearest()
        if now >= due and self.late is None:
            self.late = which
            if self._end is not None:
                self._end()

    def check(self) -> None:
        """Raise if it is late already."""
        if self.late is not None:
            raise self.failed()

    def failed(self) -> AttemptFailed:
        """The failure to raise once it is late."""
        assert self.late is not None
        failure = Failure(cause="timeout", retried=True, code=self.late)
        return failure.error(f"timed out ({self.late}): {_WORDS[self.late]} {self._limit(self.late):g} s")

    def _nearest(self) -> tuple[float, Wait]:
        due = math.inf if self._since is None else self._since + self._limit(self._for)
        whole = self._began + self._timeouts.total_s
        return (due, self._for) if due < whole else (whole, "total")

    def _limit(self, which: Wait) -> float:
        match which:
            case "connect":
                return self._timeouts.connect_s
            case "first_token":
                return self._timeouts.first_delta_s
            case "idle":
                return self._timeouts.idle_s
            case "total":
                return self._timeouts.total_s


class Watch:
    """Looks at what is under way, as long as there is anything."""

    def __init__(self, timeouts: Timeouts, clock: Clock) -> None:
        self._timeouts, self._clock = timeouts, clock
        self._under_way: set[Waits] = set()
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> Waits:
        """An exchange begins; it is looked at until `end`."""
        waits = Waits(self._timeouts, self._clock)
        self._under_way.add(waits)
        if self._task is None or self._task.done():
            self._task = asyncio.ensure_future(self._run())
        return waits

    def end(self, waits: Waits) -> None:
        """It is over."""
        self._under_way.discard(waits)

    def close(self) -> None:
        """Look at nothing any more."""
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        while self._under_way:
            await self._clock.sleep(TICK_S)
            now = self._clock.monotonic()
            for waits in tuple(self._under_way):
                waits.look(now)
