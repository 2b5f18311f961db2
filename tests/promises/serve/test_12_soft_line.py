"""Promise 12 of serving: a warning a crossing, over all replicas; soft limits refuse nothing and tell of it."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from symposia.serve.budget import (
    BudgetExceeded,
    CostPolicy,
    Decision,
    Limits,
    Rule,
    blocked,
    decided,
    enforce,
    warned,
)
from symposia.serve.ledger import Ledger
from tests.serve.ledger.places import ALL, TickClock, place

POLICY = CostPolicy(default=Rule(limits=Limits(max_tokens=1000, soft_fraction=0.8, window_s=60)))


async def ask(ledger: Ledger, tokens: int, policy: CostPolicy = POLICY) -> Decision:
    return await enforce(policy=policy, ledger=ledger, model="tiny", profile="calm", key="k", tokens=tokens)


@pytest.mark.parametrize("kind", ALL)
async def test_a_crossing_is_told_once_over_all_replicas_and_again_after_it_was_below(kind: str) -> None:
    """Many requests past the line, on three replicas at once: one warning. Below it, and up again: one more."""
    with place(kind) as opening:
        clock = TickClock()
        replicas = [opening(clock)] * 3 if kind == "memory" else [opening(clock) for _ in range(3)]
        first = await asyncio.gather(*(ask(replicas[i % 3], 50) for i in range(20)))
        crossings = [crossing for decision in first for crossing in decision.crossings]
        assert len(crossings) == 1
        event = warned(crossings[0])
        assert (event.used + event.reserved, event.limit, event.fraction) == (800, 1000, 0.8)
        for decision in first[:5]:  # down to 750: below the line
            await replicas[0].settle(decision.lease, tokens=0, requests=1)
        assert [len((await ask(replicas[1], 25)).crossings) for _ in range(3)] == [0, 1, 0]
        clock.advance(61_000_000)
        assert [len((await ask(replicas[2], 400)).crossings) for _ in range(2)] == [0, 1]
        for replica in replicas:
            await replica.aclose()


@pytest.mark.parametrize("kind", ALL)
async def test_an_overrun_that_reaches_the_line_warns_too(kind: str) -> None:
    """Used more than was reserved: the settlement carries the crossing."""
    with place(kind) as opening:
        ledger = opening(TickClock())
        decision = await ask(ledger, 700)
        assert decision.crossings == ()
        settlement = await ledger.settle(decision.lease, tokens=800, requests=1)
        assert settlement.overrun == 100
        assert [warned(crossing).used for crossing in settlement.crossings] == [800]
        await ledger.aclose()


@pytest.mark.parametrize("kind", ALL)
async def test_soft_limits_refuse_nothing_and_record_every_would_be_refusal(kind: str) -> None:
    """The switch takes effect on the next request, and charges go on through it; so does switching back."""
    soft = msgspec.structs.replace(POLICY, hard_limits=False)
    with place(kind) as opening:
        ledger = opening(TickClock())
        await ask(ledger, 900)
        with pytest.raises(BudgetExceeded) as caught:
            await ask(ledger, 200)
        assert blocked(caught.value, "r", 3).decision == "blocked"
        told = [decided(await ask(ledger, tokens, soft), "r", 4) for tokens in (100, 200, 5000)]
        assert [event.decision for event in told] == ["allowed", "would_block", "would_block"]
        assert [event.charges[0].reserved for event in told] == [1000, 1200, 6200]
        assert all(event.lease and event.policy == 4 for event in told)
        with pytest.raises(BudgetExceeded, match="0 of 1000 free"):
            await ask(ledger, 1)
        (standing,) = await ledger.standings()
        assert standing.free == -5200
        await ledger.aclose()
