"""The scheduler over integers: everybody is served, nobody's blocks leak, whatever is cancelled or preempted."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from symposia.core.errors import InvalidInput
from symposia.engine.blocks import BlockPool
from symposia.engine.pace import Pace
from symposia.engine.scheduler import Scheduler
from tests.engine.scheduling import Job, World, job


@given(
    seed=st.integers(0, 2**32),
    blocks=st.integers(2, 12),
    size=st.integers(1, 5),
    rows=st.integers(1, 6),
    tokens=st.integers(1, 16),
    reuse=st.booleans(),
)
@settings(max_examples=60)
def test_random_events_leak_nothing(seed, blocks, size, rows, tokens, reuse):
    """Thousands of arrivals, cancellations, finishes, preemptions: no block leaks, reused ones hold their prefix."""
    chance = random.Random(seed)
    world = World(blocks, size, rows, tokens, reuse)
    for _ in range(200):
        live = [*world.scheduler.running, *world.scheduler.waiting]
        event = chance.random()
        if event < 0.25:
            world.scheduler.add(job(chance, blocks * size))
        elif event < 0.32 and live:
            world.scheduler.remove(chance.choice(live))
            world.check()
        else:
            world.step(chance)
    for _ in range(20_000):
        if not (world.scheduler.running or world.scheduler.waiting):
            break
        assert world.step(chance), "work is left and none is scheduled"
    assert world.pool.held == 0
    assert all(done.computed == done.total for done in world.done)
    assert not world.pool._noted.keys() - set(world.pool._idle)
    assert sum(map(len, world.pool._starts.values())) == len(world.pool._noted)


def test_decoding_rows_come_before_prefill():
    """A long prompt is cut into chunks; the rows that speak never wait for it."""
    world = World(blocks=64, size=4, rows=8, tokens=8, reuse=False)
    chance = random.Random(0)
    talker, reader = Job([1], total=30), Job([1] * 100, total=101)
    world.scheduler.add(talker)
    world.step(chance)
    world.scheduler.add(reader)
    for _ in range(5):
        first, *rest = world.step(chance)
        assert first.sequence is talker
        assert first.stop - first.start == 1
        assert [c.stop - c.start for c in rest] == [7]


def test_the_youngest_is_preempted_and_comes_back_first():
    """Under pressure the oldest finishes; the preempted one computes its prefix again and loses no token."""
    world = World(blocks=4, size=2, rows=4, tokens=8, reuse=False)
    chance = random.Random(0)
    old, young = Job([1, 1], total=8), Job([2, 2], total=6)
    world.scheduler.add(old)
    world.scheduler.add(young)
    while world.scheduler.running or world.scheduler.waiting:
        world.step(chance)
    assert world.done == [old, young]
    assert world.scheduler.preempted >= 1
    assert young.forwarded > young.total
    assert old.forwarded == old.total


@pytest.mark.parametrize(("shared", "cached"), [(17, 16), (16, 15), (14, 14), (3, 3), (0, 0)])
def test_a_shared_prefix_is_computed_once(shared, cached):
    """To the token: full blocks are shared, the beginning of one more is copied; the last token is always computed."""
    world = World(blocks=32, size=4, rows=4, tokens=64, reuse=True)
    chance = random.Random(0)
    first, second = Job([1] * 17, total=17), Job([1] * shared + [2] * (17 - shared), total=17)
    if shared == 16:
        second = Job([1] * 16, total=16)
    world.scheduler.add(first)
    world.step(chance)
    world.scheduler.add(second)
    world.step(chance)
    assert (first.forwarded, second.cached) == (17, cached)


def test_what_still_grows_is_shared_too():
    """A prompt that is being answered lends its last, partly filled block at once."""
    world = World(blocks=32, size=4, rows=4, tokens=64, reuse=True)
    chance = random.Random(0)
    first, second = Job([1] * 7, total=12), Job([1] * 7, total=12)
    world.scheduler.add(first)
    world.step(chance)
    world.scheduler.add(second)
    world.step(chance)
    assert second.cached == 6


def test_forgetting_is_for_good():
    """After a write that was not counted nothing is found again, and nothing new is named or noted."""
    pool = BlockPool(2, 4)
    block = pool.take()
    pool.note(block, b"", [1, 2])
    assert pool.tail(b"", [1, 2, 3]) == (block, 2)
    pool.forget()
    pool.note(block, b"", [1, 2])
    assert pool.tail(b"", [1, 2, 3]) is None
    pool.name(block, b"key")
    assert pool.match([b"key"]) == []
    pool.release([block])
    assert pool.available == 2


def test_eviction_takes_the_least_recently_used_and_prefixes_last():
    """A block that others extend outlives what extends it."""
    pool = BlockPool(3, 4)
    blocks = [pool.take() for _ in range(3)]
    for block, key in zip(blocks, (b"a", b"ab", b"abc"), strict=True):
        pool.name(block, key)
    pool.release(blocks)
    assert pool.available == 3
    pool.take()
    assert pool.evicted == 1
    assert pool.match([b"a", b"ab", b"abc"]) == blocks[:2]


def test_releasing_twice_is_an_error():
    """A reference that is given back twice is a defect, not a negative count."""
    pool = BlockPool(2, 4)
    block = pool.take()
    pool.release([block])
    with pytest.raises(InvalidInput, match="released more often"):
        pool.release([block])


@given(st.randoms(use_true_random=False), st.integers(1, 40), st.sampled_from([1, 3, 4]), st.integers(6, 60))
def test_a_paced_sequence_is_always_cut_at_the_same_places(random, budget, size, blocks):
    """Whatever runs beside it, however often it is preempted: its chunks are those of its pace, and no others."""
    scheduler = Scheduler(BlockPool(blocks, size), max_rows=6, max_tokens=budget)
    room = blocks * size - 1
    jobs = []
    for _ in range(8):
        prompt = random.randint(1, room)
        job = Job([random.randint(0, 1)] * prompt, total=random.randint(prompt, room))
        if random.random() < 0.5:
            job.pace = Pace(prompt, b"paced", chunk=random.choice([4, 12]))
        jobs.append(job)
        scheduler.add(job)
    for _ in range(20_000):
        chunks = scheduler.schedule()
        for chunk in chunks:
            pace = chunk.sequence.pace
            if pace is not None:
                assert chunk.start % pace.chunk == 0 or chunk.start >= pace.prompt
                assert chunk.stop == pace.stop(chunk.start)
        scheduler.advance(chunks)
        for job in [chunk.sequence for chunk in chunks if chunk.stop == chunk.sequence.known]:
            if job.known == job.total:
                scheduler.remove(job)
                jobs.remove(job)
            else:
                job.tokens.append(random.randint(0, 1))
        if not jobs:
            return
    raise AssertionError("did not finish")


@pytest.mark.parametrize(("budget", "steps"), [(1000, 2), (16, 6)])
def test_what_arrives_together_and_begins_alike_is_computed_once(budget, steps):
    """The first computes the common prompt, the others take it; whoever begins otherwise is not held up for long."""
    world = World(blocks=200, size=4, rows=8, tokens=budget, reuse=True)
    chance = random.Random(0)
    common = list(range(64))
    alike = [Job([*common, 100 + n], total=70) for n in range(4)]
    for one in alike:
        world.scheduler.add(one)
    for _ in range(steps):
        world.step(chance)
    assert all(one.computed >= 65 for one in alike)
    assert sum(one.cached for one in alike) == 3 * 64
    assert world.scheduler.computed <= 64 + 4 * 6


def test_a_short_common_beginning_is_not_waited_for():
    """Fewer than four full blocks are computed side by side: waiting a step would cost more."""
    world = World(blocks=200, size=4, rows=8, tokens=1000, reuse=True)
    common = list(range(14))
    alike = [Job([*common, 100 + n], total=20) for n in range(3)]
    for one in alike:
        world.scheduler.add(one)
    assert len(world.scheduler.schedule()) == 3
