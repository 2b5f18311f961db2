"""A change of budget takes effect on the next request, and forgets nothing that counts."""

from __future__ import annotations

import pytest

from symposia.serve.budget import BudgetExceeded, CostPolicy, Decision, Limits, Rule, enforce
from symposia.serve.ledger import Ledger
from tests.serve.ledger.places import ALL, TickClock, place

MINUTE = 60_000_000


def policy(tokens: int, window_s: float, buckets: int = 60) -> CostPolicy:
    return CostPolicy(default=Rule(limits=Limits(max_tokens=tokens, window_s=window_s)), buckets=buckets)


async def ask(ledger: Ledger, tokens: int, given: CostPolicy) -> Decision:
    return await enforce(policy=given, ledger=ledger, model="tiny", profile="none", key="k", tokens=tokens)


async def free(ledger: Ledger) -> int:
    (standing,) = await ledger.standings()
    assert standing.used + standing.reserved + standing.free == standing.limit
    return standing.free


@pytest.mark.parametrize("kind", ALL)
async def test_a_limit_moves_and_usage_stays(kind: str) -> None:
    """Raised: there is room at once. Lowered below what is used: free is negative, nothing more gets in."""
    with place(kind) as opening:
        ledger = opening(TickClock())
        await ask(ledger, 900, policy(1000, 60))
        with pytest.raises(BudgetExceeded):
            await ask(ledger, 200, policy(1000, 60))
        await ask(ledger, 200, policy(2000, 60))
        with pytest.raises(BudgetExceeded):
            await ask(ledger, 1, policy(500, 60))
        assert await free(ledger) == 500 - 1100
        await ledger.aclose()


@pytest.mark.parametrize("kind", ALL)
async def test_a_window_changes_and_starts_with_what_was_live(kind: str) -> None:
    """Longer or shorter, in other buckets: what was held is held for the new window, and settles where it lies now."""
    with place(kind) as opening:
        clock = TickClock()
        ledger = opening(clock)
        old = (await ask(ledger, 400, policy(1000, 60))).lease
        clock.advance(30_000_000)
        with pytest.raises(BudgetExceeded):
            await ask(ledger, 700, policy(1000, 600, buckets=10))
        clock.advance(5 * MINUTE)
        assert await free(ledger) == 600, "under the old window it would have left"
        await ledger.settle(old, tokens=150, requests=1)
        assert await free(ledger) == 850
        clock.advance(7 * MINUTE)
        assert await ledger.standings() == ()
        await ledger.aclose()


@pytest.mark.parametrize("kind", ALL)
async def test_a_charge_that_left_before_the_change_does_not_come_back(kind: str) -> None:
    """Its late settlement changes nothing."""
    with place(kind) as opening:
        clock = TickClock()
        ledger = opening(clock)
        old = (await ask(ledger, 400, policy(1000, 60))).lease
        clock.advance(2 * MINUTE)
        await ask(ledger, 10, policy(1000, 600))
        assert (await ledger.settle(old, tokens=400, requests=1)).outcome == "settled"
        assert await free(ledger) == 990
        await ledger.aclose()


@pytest.mark.parametrize("kind", ALL)
async def test_a_reset_empties_one_pool_and_its_open_leases_settle_as_nothing(kind: str) -> None:
    """Another pool, and leases taken afterwards, are as they were."""
    with place(kind) as opening:
        clock = TickClock()
        ledger = opening(clock)
        limits = Limits(max_tokens=1000, max_requests=10)
        given = CostPolicy(
            default=Rule(limits=limits), ceilings=(Rule(name="all", per=(), limits=Limits(max_tokens=5000)),)
        )
        before = await ask(ledger, 400, given)
        await ledger.reset("default[model=tiny,profile=none]")
        after = await ask(ledger, 300, given)
        await ledger.settle(before.lease, tokens=400, requests=1)
        await ledger.settle(after.lease, tokens=300, requests=1)
        used = {(standing.pool, standing.field): standing.used for standing in await ledger.standings()}
        assert used == {
            ("all", "tokens"): 700,
            ("default[model=tiny,profile=none]", "tokens"): 300,
            ("default[model=tiny,profile=none]", "requests"): 1,
        }
        await ledger.aclose()
