"""Limits on one exchange, decided with a virtual clock."""

from __future__ import annotations

import asyncio

import pytest

from symposia.backends.causes import AttemptFailed
from symposia.backends.policy import Timeouts
from symposia.backends.waits import TICK_S, Waits, Watch
from symposia.core.clock import VirtualClock

LIMITS = Timeouts(connect_s=5, first_delta_s=60, idle_s=30, total_s=600)


async def late_after(clock: VirtualClock, waits: Waits) -> tuple[str, float]:
    """Which limit it was, and after how many seconds from now it was noticed."""
    began = clock.monotonic()
    ended: list[float] = []
    waits.ends(lambda: ended.append(clock.monotonic() - began))
    for _ in range(7_000):
        await clock.advance(TICK_S)
        if ended:
            assert waits.late is not None
            return waits.late, ended[0]
    raise AssertionError("it is never late")


async def test_each_limit_counts_from_its_own_beginning() -> None:
    """To connect; from there to the first sign; from the last sign; from the very beginning."""
    clock = VirtualClock()
    watch = Watch(LIMITS, clock)
    assert await late_after(clock, watch.begin()) == ("connect", pytest.approx(5, abs=2 * TICK_S))

    slow = watch.begin()
    await clock.advance(4)
    slow.connected()
    assert await late_after(clock, slow) == ("first_token", pytest.approx(60, abs=2 * TICK_S))

    talking = watch.begin()
    talking.connected()
    talking.heard()
    await clock.advance(20)
    talking.listening()
    assert await late_after(clock, talking) == ("idle", pytest.approx(30, abs=2 * TICK_S))

    endless = watch.begin()
    endless.connected()
    endless.heard()
    assert await late_after(clock, endless) == ("total", pytest.approx(600, abs=2 * TICK_S))
    watch.close()


async def test_a_silence_is_one_however_often_one_listens() -> None:
    """Bytes that are no sign do not begin it anew."""
    clock = VirtualClock()
    watch = Watch(LIMITS, clock)
    waits = watch.begin()
    waits.connected()
    waits.heard()
    for _ in range(29):
        waits.listening()
        await clock.advance(1)
    assert waits.late is None
    await clock.advance(1 + TICK_S)
    assert waits.late == "idle"
    with pytest.raises(AttemptFailed, match="within 30 s") as caught:
        waits.check()
    assert (caught.value.cause, caught.value.code) == ("timeout", "idle")
    watch.close()


async def test_what_is_over_is_not_late_and_nobody_looks_on() -> None:
    """The one task ends with the last exchange, and comes back with the next."""
    clock = VirtualClock()
    watch = Watch(LIMITS, clock)
    for _ in range(2):
        first, second = watch.begin(), watch.begin()
        await clock.advance(1)
        assert clock.sleepers == 1
        watch.end(first)
        watch.end(second)
        await clock.advance(10)
        assert (first.late, second.late) == (None, None)
        assert clock.sleepers == 0
    await asyncio.sleep(0)
