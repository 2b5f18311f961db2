"""Promise 1 of serving: no request is admitted above a hard limit, whoever else asks at the same moment."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from symposia.serve.budget import BudgetExceeded, CostPolicy, Limits, Rule, enforce
from symposia.serve.ledger.window import ticks
from tests.serve.ledger.places import ALL, SHARED, TickClock, address, place
from tools.contention import LIMIT, WINDOW_S, Setup, contend, fullest, judged


@pytest.mark.slow
@pytest.mark.parametrize("kind", SHARED)
def test_what_processes_saw_of_a_shared_ledger_could_have_happened_in_one_order(kind: str) -> None:
    """Three processes of six tasks; the history is linearizable, and with one answer changed it is not."""
    with address(kind) as (url, namespace):
        setup = Setup(url, namespace, "still", seed=7, tasks=6, rounds=12)
        seen = contend(setup, processes=3)
    kept, said = judged(setup, seen)
    assert kept, said
    assert any(not each.told.held for each in seen if each.told.settled is None), "somebody was refused"
    index = next(i for i, each in enumerate(seen) if each.told.held)
    used, reserved = seen[index].told.after[0]
    told = msgspec.structs.replace(
        seen[index].told, after=((used, reserved + 1), *seen[index].told.after[1:])
    )
    seen[index] = msgspec.structs.replace(seen[index], told=told)
    assert not judged(setup, seen)[0], "an answer that never was true went unnoticed"


@pytest.mark.slow
@pytest.mark.parametrize("kind", SHARED)
def test_no_real_window_of_a_shared_ledger_holds_more_than_its_limit(kind: str) -> None:
    """Windows of half a second, used up by three processes at once, for several windows."""
    with address(kind) as (url, namespace):
        setup = Setup(url, namespace, "rolling", seed=3, tasks=6, rounds=30)
        seen = contend(setup, processes=3)
    told = [each.told for each in seen if each.told.settled is None]
    moments = [each.admitted for each in told if each.held]
    assert max(moments) - min(moments) > 2 * ticks(WINDOW_S["rolling"]), "several windows went by"
    assert LIMIT / 2 < fullest(told, WINDOW_S["rolling"]) <= LIMIT


@pytest.mark.parametrize("kind", ALL)
async def test_two_hundred_tasks_at_a_limit_of_ten_thousand_never_pass_it(kind: str) -> None:
    """Check-then-charge would let them all through: each sees room for itself."""
    policy = CostPolicy(default=Rule(limits=Limits(max_tokens=10_000)))
    with place(kind) as opening:
        ledger = opening(TickClock())

        async def ask() -> bool:
            try:
                await enforce(policy=policy, ledger=ledger, model="tiny", profile="none", key="k", tokens=300)
            except BudgetExceeded:
                return False
            return True

        admitted = sum(await asyncio.gather(*(ask() for _ in range(200))))
        (standing,) = await ledger.standings()
        await ledger.aclose()
    assert admitted == 10_000 // 300
    assert standing.reserved == admitted * 300
    assert standing.free == 10_000 - standing.reserved
