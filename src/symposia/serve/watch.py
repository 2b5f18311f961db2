"""One hand of the clock for every request under way: deadlines and silences are looked at ten times a second.

So a delta costs no timer. A request says what it waits for by numbers; what has passed is decided here, purely.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Literal, Protocol

from symposia.core.clock import Clock

from .faults import Fault

TICK_S = 0.1

Phase = Literal["first_token", "idle", "total"]


@dataclass(frozen=True, slots=True)
class Patience:
    """How long each thing may take, in seconds. `first_s` counts from asking the backend, connection and all."""

    first_s: float
    idle_s: float
    total_s: float
    ping_s: float
    write_stall_s: float


@dataclass(slots=True)
class Times:
    """When things last happened, on a monotonic clock; None: not, or not now.

    `item` is the backend's last sign of life, `written` the last byte given to the caller's connection, `writing` since
    when it does not take the next one.
    """

    asked: float
    streams: bool
    item: float | None = None
    written: float | None = None
    writing: float | None = None


def overdue(times: Times, patience: Patience, now: float) -> Phase | None:
    """Which of the backend's deadlines has passed. Where nothing streams, silence before the end is no sign."""
    if now - times.asked >= patience.total_s:
        return "total"
    if times.item is None:
        return "first_token" if times.streams and now - times.asked >= patience.first_s else None
    return "idle" if times.streams and now - times.item >= patience.idle_s else None


def stalled(times: Times, patience: Patience, now: float) -> bool:
    """Whether the caller takes nothing any more."""
    return times.writing is not None and now - times.writing >= patience.write_stall_s


def silent(times: Times, patience: Patience, now: float) -> bool:
    """Whether the caller has heard nothing for so long that a ping is due."""
    return times.written is not None and times.writing is None and now - times.written >= patience.ping_s


class Watched(Protocol):
    """A request under way."""

    def look(self, now: float) -> None:
        """See whether anything is overdue, and act on it."""
        ...

    def cut(self, fault: Fault, *, steered_only: bool = False) -> None:
        """End it with a fault; `steered_only`: if anything is changed inside its model."""
        ...


class Watch:
    """Looks at every request under way. Runs as long as its task."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._under_way: set[Watched] = set()
        self._task: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._under_way)

    def add(self, one: Watched) -> None:
        """Look at it from now on."""
        self._under_way.add(one)

    def discard(self, one: Watched) -> None:
        """Look at it no more."""
        self._under_way.discard(one)

    @property
    def under_way(self) -> tuple[Watched, ...]:
        """All that are looked at."""
        return tuple(self._under_way)

    def start(self) -> None:
        """Begin to look."""
        self._task = asyncio.ensure_future(self._run())

    def stop(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        while True:
            await self._clock.sleep(TICK_S)
            now = self._clock.monotonic()
            for one in self.under_way:
                one.look(now)
