"""Promise 3 of serving: Retry-After is exact: admitted at T, refused one tick before."""

from __future__ import annotations

import asyncio
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symposia.serve.budget import BudgetExceeded, CostPolicy, Limits, Rule, enforce
from symposia.serve.ledger import Ledger
from tests.serve.ledger.places import ALL, TickClock, place

TICK = 1_000_000
SPENDING = st.lists(st.tuples(st.integers(0, 9_999_999), st.integers(1, 400)), min_size=1, max_size=12)


async def ask(policy: CostPolicy, ledger: Ledger, tokens: int) -> float | None:
    """Seconds to wait; 0 if it was let through; None: it never fits."""
    try:
        await enforce(
            policy=policy, ledger=ledger, model="tiny", profile="none", key="k", tokens=tokens, ttl_s=10_000
        )
    except BudgetExceeded as error:
        return error.retry_after_s
    return 0.0


async def hold_to_it(kind: str, policy: CostPolicy, spending: list[tuple[int, int]], tokens: int) -> None:
    with place(kind) as opening:
        clock = TickClock()
        ledger = opening(clock)
        for wait, amount in spending:
            clock.advance(wait)
            await ask(policy, ledger, amount)
        wait_s = await ask(policy, ledger, tokens)
        assert wait_s is not None
        if wait_s:
            ticks = round(wait_s * TICK)
            clock.advance(ticks - 1)
            assert await ask(policy, ledger, tokens) == pytest.approx(1 / TICK), "one tick early"
            clock.advance(1)
            assert await ask(policy, ledger, tokens) == 0.0
        await ledger.aclose()


@given(SPENDING, st.integers(1, 1000), st.sampled_from((1, 7, 60)), st.sampled_from((1.0, 30.0, 3600.0)))
def test_admitted_at_t_and_refused_one_tick_before(
    spending, tokens: int, buckets: int, window_s: float
) -> None:
    """Whatever was spent when, in windows of any shape; two pools have to fit."""
    policy = CostPolicy(
        default=Rule(limits=Limits(max_tokens=1000, window_s=window_s)),
        ceilings=(
            Rule(name="short", per=(), limits=Limits(max_tokens=1500, max_requests=5, window_s=window_s / 3)),
        ),
        buckets=buckets,
    )
    asyncio.run(hold_to_it("memory", policy, spending, tokens))


@pytest.mark.parametrize("kind", ALL)
async def test_every_ledger_tells_the_same_moment(kind: str) -> None:
    """Spent over several buckets; the moment is the boundary at which enough has left."""
    policy = CostPolicy(default=Rule(limits=Limits(max_tokens=1000, window_s=60)))
    await hold_to_it(kind, policy, [(0, 300), (9_000_000, 300), (9_999_999, 250), (3, 150)], 500)


@pytest.mark.parametrize("kind", ALL)
async def test_what_never_fits_is_told_so_with_both_numbers(kind: str) -> None:
    """No moment is promised to a request larger than its pool."""
    policy = CostPolicy(default=Rule(limits=Limits(max_tokens=1000)))
    with place(kind) as opening:
        ledger = opening(TickClock())
        with pytest.raises(
            BudgetExceeded, match=r"1001 tokens asked for, 1000 of 1000 free; it never fits"
        ) as caught:
            await enforce(policy=policy, ledger=ledger, model="m", profile="none", key="k", tokens=1001)
        assert caught.value.retry_after_s is None
        await ledger.aclose()


async def test_the_moment_is_at_most_a_bucket_after_the_window() -> None:
    """A charge is held for its window, and less than one bucket more."""
    policy = CostPolicy(default=Rule(limits=Limits(max_tokens=10, window_s=60)), buckets=60)
    with place("memory") as opening:
        ledger = opening(TickClock())
        await ask(policy, ledger, 10)
        wait_s = await ask(policy, ledger, 10)
        assert wait_s is not None
        assert 60 < wait_s <= 61
        assert math.isclose(wait_s, 61 - 0.123457, abs_tol=1e-6), "to the boundary of its bucket"
