"""Letting a server run dry: nothing new is taken, what runs may end, what does not end in time is ended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from symposia.core.clock import Clock
from symposia.core.served import Draining, ServerEvent

from .faults import Fault
from .watch import TICK_S

_SAID = "this server is draining; ask again: another may answer"


class Drain:
    """`on` while nothing new is taken. `under_way` tells how many requests run; `cut` ends them."""

    def __init__(
        self,
        clock: Clock,
        emit: Callable[[ServerEvent, str], None],
        *,
        under_way: Callable[[], int],
        cut: Callable[[Fault], None],
    ) -> None:
        self._clock, self._emit, self._under_way, self._cut = clock, emit, under_way, cut
        self.on = False
        self._drying: asyncio.Task[None] | None = None

    def check(self) -> None:
        """503 while draining."""
        if self.on:
            raise Fault("server_is_overloaded", _SAID)

    def begin(self, actor: str, reason: str = "") -> None:
        """Take nothing new. Again is once."""
        if not self.on:
            self.on = True
            self._emit(Draining(on=True, actor=actor, reason=reason), "server")

    def turn(self, on: bool, within_s: float) -> None:
        """Take nothing new and let run dry, or take requests again. Whoever says so has written it down."""
        self.on = on
        if self._drying is not None:
            self._drying.cancel()
        self._drying = asyncio.ensure_future(self.run_dry(within_s)) if on else None

    async def run_dry(self, within_s: float) -> None:
        """Until nothing runs. What still does after `within_s` is told that the server ends, and so are stragglers."""
        left = within_s
        while self._under_way() and left > 0:
            await self._clock.sleep(TICK_S)
            left -= TICK_S
        if self._under_way():
            self._cut(Fault("server_is_overloaded", _SAID))
        left = 1.0
        while self._under_way() and left > 0:
            await self._clock.sleep(TICK_S)
            left -= TICK_S
