"""Promise: nothing leaks, however long it runs and whatever happens to it."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from tests.engine.scheduling import World, job

STEPS = 200_000


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_hundred_thousand_steps_leak_nothing():
    """Arrivals, cancellations, preemption, eviction, stop strings and want of memory, all through one pool."""
    chance = random.Random(7)
    world = World(blocks=24, size=4, rows=6, tokens=12, reuse=True)
    seen: Counter[str] = Counter()
    for _ in range(STEPS):
        live = [*world.scheduler.running, *world.scheduler.waiting]
        if len(live) < 12 and chance.random() < 0.2:
            world.scheduler.add(job(chance, 40))
        if live and chance.random() < 0.02:
            world.scheduler.remove(chance.choice(live))
            seen["cancelled"] += 1
        world.step(chance, short=0.02)
        seen["finished"] += len(world.done)
        seen["too large"] += len(world.dropped)
        world.done.clear()
        world.dropped.clear()
    while world.scheduler.running or world.scheduler.waiting:
        assert world.step(chance), "work is left and none is scheduled"
    assert world.pool.held == 0
    assert world.pool.available == world.pool.count
    assert set(world.pool._noted) <= set(world.pool._idle)
    assert sum(map(len, world.pool._starts.values())) == len(world.pool._noted)
    assert set(world.pool._index.values()) == set(world.pool._key)
    seen |= Counter(
        preempted=world.scheduler.preempted, evicted=world.pool.evicted, reused=world.scheduler.reused
    )
    assert all(
        seen[event] > 1000
        for event in ("cancelled", "finished", "too large", "preempted", "evicted", "reused")
    ), seen
