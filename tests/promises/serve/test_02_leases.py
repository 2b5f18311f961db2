"""Promise 2 of serving: no lease outlives its time, settling twice is settling once, `kill -9` leaks nothing."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from symposia.core.clock import SystemClock
from symposia.core.served import BudgetDecision, BudgetSettled
from symposia.core.value import decode
from symposia.serve.budget import Route, charges
from symposia.serve.ledger import Ledger
from symposia.serve.ledger.fold import folded
from symposia.serve.ledger.opened import opened
from tests.promises.serve.holder import POLICY, TOKENS
from tests.serve.ledger.places import ALL, SHARED, TickClock, address, place

pytestmark = pytest.mark.slow  # processes that are killed, one after another

ROOT = Path(__file__).parents[3]
WANTED = charges(POLICY, Route(model="tiny"), TOKENS)


@contextlib.contextmanager
def holder(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    command = [sys.executable, "-m", "tests.promises.serve.holder", *arguments]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def lines(process: subprocess.Popen[str], count: int) -> list[str]:
    assert process.stdout is not None
    return [process.stdout.readline() for _ in range(count)]


async def reserved(ledger: Ledger) -> dict[str, int]:
    return {standing.field: standing.reserved for standing in await ledger.standings(WANTED)}


async def until_nothing_is_reserved(ledger: Ledger, within_s: float) -> float:
    """When that was, by the machine's clock."""
    deadline = time.monotonic() + within_s
    while any((await reserved(ledger)).values()):
        assert time.monotonic() < deadline, "a reservation outlived its lease"
        await asyncio.sleep(0.02)
    return time.time()


@pytest.mark.parametrize("kind", SHARED)
async def test_a_killed_holder_leaks_nothing_past_its_lease(kind: str) -> None:
    """Held while the lease lasts, returned when it ends, reported once over both replicas that ask."""
    with address(kind) as (url, namespace), holder(url, namespace, "3", "once") as process:
        (line,) = lines(process, 1)
        lease = decode(line, BudgetDecision)
        process.kill()
        process.wait()
        one, other = (opened(url, clock=SystemClock(), namespace=namespace) for _ in range(2))
        if time.time() < lease.expires_s - 0.5:
            assert await reserved(one) == {"tokens": TOKENS, "requests": 1}
            assert await one.expire() == ()
        ended = await until_nothing_is_reserved(one, within_s=10)
        assert ended >= lease.expires_s - 0.05, "returned before its time"
        reports = [*await one.expire(), *await other.expire(), *await one.expire()]
        assert [found.id for found in reports] == [lease.lease]
        await one.aclose()
        await other.aclose()


@pytest.mark.parametrize("kind", SHARED)
async def test_a_process_killed_at_any_moment_blocks_nobody(kind: str) -> None:
    """Killed while it reserves and settles without end, perhaps within a transaction: others go on at once."""
    with address(kind) as (url, namespace), holder(url, namespace, "2", "forever") as process:
        lines(process, 31)
        process.kill()
        process.wait()
        ledger = opened(url, clock=SystemClock(), namespace=namespace)
        answer = await ledger.reserve("mine", WANTED, ttl_s=60)
        await ledger.settle(answer.lease, tokens=0, requests=0)
        await until_nothing_is_reserved(ledger, within_s=10)
        used = {standing.field: standing.used for standing in await ledger.standings(WANTED)}
        assert used["tokens"] == used["requests"] >= 15, "what was settled stays"
        await ledger.aclose()


async def test_the_memory_ledger_of_a_killed_process_is_folded_from_its_events() -> None:
    """What it settled is used, what it held is held until the same moment, and then reported."""
    with holder("memory", "", "4", "forever") as process:
        told = lines(process, 21)
        process.kill()
        process.wait()
    events = [decode(line, BudgetDecision | BudgetSettled) for line in told]
    ledger = folded(events, POLICY, SystemClock())
    last = events[-1]
    assert isinstance(last, BudgetDecision)
    stands = {s.field: (s.used, s.reserved) for s in await ledger.standings(WANTED)}
    assert stands == {"tokens": (10, TOKENS), "requests": (10, 1)}
    assert await ledger.expire() == ()
    assert await until_nothing_is_reserved(ledger, within_s=10) >= last.expires_s - 0.05
    assert [lease.id for lease in await ledger.expire()] == [last.lease]


@pytest.mark.parametrize("kind", ALL)
async def test_settling_twice_is_settling_once_on_any_replica_and_at_once(kind: str) -> None:
    """Ten settlements of one lease at the same moment: one counts, nine hear that it was settled."""
    with place(kind) as opening:
        clock = TickClock()
        ledger = opening(clock)
        other = ledger if kind == "memory" else opening(clock)
        lease = (await ledger.reserve("one", WANTED, ttl_s=60)).lease
        found = await asyncio.gather(
            *(each.settle(lease, tokens=40, requests=1) for each in [ledger, other] * 5)
        )
        assert sorted(answer.again for answer in found) == [False] + [True] * 9
        for standing in await ledger.standings(WANTED):
            assert (standing.used, standing.reserved) == ((40, 0) if standing.field == "tokens" else (1, 0))
        await ledger.aclose()
        await other.aclose()


@pytest.mark.parametrize("kind", ALL)
async def test_a_lease_ends_at_its_time_and_a_late_settlement_still_charges(kind: str) -> None:
    """Held one tick before; returned at it, without anybody calling `expire`; charged when settled after all."""
    with place(kind) as opening:
        clock = TickClock()
        ledger = opening(clock)
        lease = (await ledger.reserve("one", WANTED, ttl_s=20)).lease
        clock.advance(20_000_000 - 1)
        assert await reserved(ledger) == {"tokens": TOKENS, "requests": 1}
        clock.advance(1)
        assert await reserved(ledger) == {"tokens": 0, "requests": 0}
        late = await ledger.settle(lease, tokens=TOKENS + 7, requests=1)
        assert (late.outcome, late.overrun, late.again) == ("late", 7, False)
        assert {s.field: s.used for s in late.amounts} == {"tokens": TOKENS + 7, "requests": 1}
        assert [found.id for found in await ledger.expire()] == ["one"], "that it expired is told, too"
        assert (await ledger.settle(lease, tokens=9, requests=1)).again
        await ledger.aclose()
