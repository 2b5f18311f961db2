"""Callers of one governor, and what they saw."""

from __future__ import annotations

from dataclasses import dataclass, field

from symposia.backends.governor import Governor
from symposia.core.clock import VirtualClock


@dataclass
class Crowd:
    """Callers of one governor: when each began, in which order, what it came to count as, what was settled."""

    governor: Governor
    clock: VirtualClock
    order: list[int] = field(default_factory=list)
    begun: dict[int, tuple[float, int]] = field(default_factory=dict)
    settled: int = 0

    async def call(self, number: int, tokens: int, seconds: int, end: str) -> None:
        """Reserve, work for a while, and end as told."""
        async with self.governor.lease(tokens) as lease:
            self.order.append(number)
            self.begun[number] = (self.clock.monotonic(), tokens)
            await self.clock.sleep(seconds)
            used = {"answered": tokens // 2, "refused": 0}.get(end, tokens)
            self.begun[number] = (self.begun[number][0], used)
            if end == "answered":
                self.settled += used
                lease.answered(used)
            elif end == "refused":
                lease.refused()
                lease.unused()
            elif end == "raises":
                raise RuntimeError("the caller's own")
