"""Law: the ledger folded from events stands, and goes on, as the one that caused them."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from symposia.core.served import BudgetReset
from symposia.core.store import Logged
from symposia.serve.budget import (
    BudgetExceeded,
    CostPolicy,
    Limits,
    Route,
    Rule,
    blocked,
    charges,
    decided,
    expired,
    settled,
)
from symposia.serve.budget.hold import Ask, hold
from symposia.serve.ledger.fold import folded
from symposia.serve.ledger.memory import MemoryLedger
from tests.serve.ledger.places import TickClock

POLICY = CostPolicy(
    default=Rule(limits=Limits(max_tokens=1000, max_requests=9, window_s=30)),
    ceilings=(Rule(name="all", per=(), limits=Limits(max_tokens=2500, window_s=120)),),
    buckets=10,
)
ROUTES = (Route(model="m", profile="p", key="k"), Route(model="n", profile="none", key="k"))
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), st.sampled_from(ROUTES), st.integers(0, 600)),
        st.tuples(st.just("settle"), st.integers(0, 9), st.integers(0, 700)),
        st.tuples(st.just("wait"), st.integers(0, 40_000_000)),
        st.tuples(st.just("expire")),
        st.tuples(st.just("reset"), st.sampled_from(("all", "default[model=m,profile=p]"))),
    ),
    max_size=30,
)


async def lived(steps, clock: TickClock) -> tuple[MemoryLedger, list[Logged], list]:
    """A ledger's life, what was told of it, and the leases it gave."""
    ledger, told, leases = MemoryLedger(clock), [], []
    for step in steps:
        match step:
            case ("ask", route, tokens):
                try:
                    decision = await hold(POLICY, ledger, route, ask=Ask(prompt=tokens), ttl_s=20)
                except BudgetExceeded as error:
                    told.append(blocked(error, "r", 1))
                else:
                    leases.append(decision.lease)
                    told.append(decided(decision, "r", 1))
            case ("settle", index, tokens) if leases:
                lease = leases[index % len(leases)]
                answer = await ledger.settle(lease, tokens=tokens, requests=1)
                if not answer.again:
                    told.append(settled(answer, lease))
            case ("wait", ticks):
                clock.advance(ticks)
            case ("expire",):
                told += [expired(lease) for lease in await ledger.expire()]
            case ("reset", pool):
                await ledger.reset(pool)
                told.append(BudgetReset(pool=pool, actor="a", reason="r"))
    return ledger, told, leases


@given(STEPS, st.integers(2, 40_000_000))  # a reset takes a tick of its own
def test_a_folded_ledger_stands_and_goes_on_as_the_first(steps, pause: int) -> None:
    """The same standings, the same leases running out, the same answer to every settlement and request that follows."""
    clock = TickClock()

    async def both() -> None:
        first, told, leases = await lived(steps, clock)
        told += [expired(lease) for lease in await first.expire()]
        clock.advance(pause)
        again = folded(told, POLICY, clock)
        for route in ROUTES:
            wanted = charges(POLICY, route, 0)
            assert await again.standings(wanted) == await first.standings(wanted)
        assert await again.expire() == await first.expire()
        for lease in leases:
            one = await first.settle(lease, tokens=5, requests=1)
            other = await again.settle(lease, tokens=5, requests=1)
            assert (one.outcome, one.again, one.amounts) == (other.outcome, other.again, other.amounts)
        for route in ROUTES:
            wanted = charges(POLICY, route, 450)
            assert await again.reserve("new", wanted, ttl_s=9) == await first.reserve("new", wanted, ttl_s=9)

    asyncio.run(both())
