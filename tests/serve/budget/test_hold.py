"""Promises of holding a request: shrunk where the policy says so, and let through or not while the ledger is away."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from symposia.core.clock import VirtualClock
from symposia.serve.budget import Ask, BudgetExceeded, CostPolicy, Limits, Route, Rule, enforce, hold, shrunk
from symposia.serve.ledger import LedgerUnreachable, Standing
from symposia.serve.ledger.memory import MemoryLedger
from symposia.serve.ledger.sqlite import SqliteLedger

ROUTE = Route(model="tiny", key="k")
SHRINKING = CostPolicy(default=Rule(limits=Limits(max_tokens=1000)), shrink_to_fit=True)


async def test_a_request_is_shrunk_to_what_is_free_and_no_further_than_sixteen() -> None:
    """100 + 2 x 200 of 500 free; then nothing is left for even the smallest."""
    ledger = MemoryLedger(VirtualClock())
    await hold(SHRINKING, ledger, ROUTE, ask=Ask(prompt=500), ttl_s=60)
    decision = await hold(SHRINKING, ledger, ROUTE, ask=Ask(prompt=100, n=2, maximum=4096), ttl_s=60)
    assert decision.maximum == 200
    assert decision.lease is not None
    assert decision.lease.charges[0].amount == 500
    with pytest.raises(BudgetExceeded, match="110 tokens asked for, 0 of 1000 free"):
        await hold(SHRINKING, ledger, ROUTE, ask=Ask(prompt=10, maximum=100), ttl_s=60)


async def test_without_shrinking_the_same_request_is_refused_as_it_was_asked() -> None:
    """The refusal speaks of what was asked for, not of what was tried."""
    ledger = MemoryLedger(VirtualClock())
    policy = msgspec.structs.replace(SHRINKING, shrink_to_fit=False)
    with pytest.raises(BudgetExceeded) as caught:
        await hold(policy, ledger, ROUTE, ask=Ask(prompt=100, n=2, maximum=4096), ttl_s=60)
    assert caught.value.tokens == 100 + 2 * 4096
    assert caught.value.retry_after_s is None


@given(st.integers(0, 2000), st.integers(0, 500), st.integers(1, 8), st.integers(0, 5000))
def test_what_is_shrunk_fits_and_one_more_would_not(free: int, prompt: int, n: int, maximum: int) -> None:
    """The largest output for which there is room."""
    standing = Standing(pool="p", field="tokens", used=0, reserved=0, limit=free)
    ask = Ask(prompt=prompt, n=n, maximum=maximum)
    less = shrunk((standing,), ask)
    if less is None:
        assert ask.maximum <= 16 or prompt + n * 16 > free or ask.tokens <= free
    else:
        assert 16 <= less.maximum < maximum
        assert less.tokens <= free < less.tokens + n


def test_nothing_is_shrunk_for_want_of_requests() -> None:
    """A smaller output makes no room in a pool of requests."""
    tokens = Standing(pool="p", field="tokens", used=0, reserved=0, limit=100)
    requests = Standing(pool="p", field="requests", used=1, reserved=0, limit=1)
    assert shrunk((tokens,), Ask(prompt=0, maximum=1000)) is not None
    assert shrunk((tokens, requests), Ask(prompt=0, maximum=1000)) is None


async def test_a_ledger_that_cannot_be_asked_closes_or_opens_the_door_as_the_policy_says(tmp_path) -> None:
    """`closed` raises, `open` lets the request through without a lease and says why."""
    ledger = SqliteLedger(tmp_path / "no such folder" / "ledger.db", VirtualClock())
    with pytest.raises(LedgerUnreachable, match="unable to open"):
        await hold(SHRINKING, ledger, ROUTE, ask=Ask(prompt=1), ttl_s=60)
    policy = msgspec.structs.replace(SHRINKING, ledger_down="open")
    decision = await hold(policy, ledger, ROUTE, ask=Ask(prompt=1, maximum=7), ttl_s=60)
    assert (decision.decision, decision.lease, decision.maximum) == ("unheld", None, 7)
    assert "unable to open" in decision.why


async def test_no_limits_are_a_lease_of_nothing_that_settles() -> None:
    """A policy without limits still decides, and its leases end like others."""
    ledger = MemoryLedger(VirtualClock())
    decision = await enforce(
        policy=CostPolicy(), ledger=ledger, model="m", profile="none", key="k", tokens=10
    )
    assert decision.decision == "allowed"
    assert decision.lease is not None
    assert (await ledger.settle(decision.lease, tokens=3, requests=1)).outcome == "settled"
    assert await ledger.standings() == ()
