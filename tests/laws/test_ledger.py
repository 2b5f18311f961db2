"""Laws of the budget ledger: whatever is reserved, settled, late, reset or changed, four ledgers answer as one oracle.

The oracle keeps a list of every charge and knows no buckets. Time stands still between operations, jumps on, and where
the ledger takes its time from a clock that can be set, jumps back.
"""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from symposia.serve.ledger import Charge, Lease, Refusal
from tests.serve.ledger.oracle import TICK, Oracle
from tests.serve.ledger.places import ALL, TickClock, place

NAMES = ("a", "b[key=x,model=y:z]")
FIELDS = ("tokens", "requests")
POOLS = tuple((name, field) for name in NAMES for field in FIELDS)
WINDOWS = (3.0, 10.0, 60.0, 7.0000011)
JUMPS = (1, 999_999, 1_000_000, 1_000_000, 3_000_000, 10_000_000, 10_000_000, 61_000_000)


def terms(name: str, field: str, draw) -> Charge:
    return Charge(
        pool=name,
        field=field,
        amount=0,
        limit=draw(st.integers(0, 12) | st.just(20)),
        soft=draw(st.sampled_from((0.1, 0.5, 0.8, 1.0))),
        window_s=draw(st.sampled_from(WINDOWS)),
        buckets=draw(st.sampled_from((1, 3, 10))),
        kind=draw(st.sampled_from(("budget", "rate"))),
    )


class LedgerMachine(RuleBasedStateMachine):
    """One ledger beside its oracle."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.clock, self.oracle = TickClock(), Oracle()
        self.may_go_back = kind != "memory"  # which goes by the monotonic clock
        self.open = contextlib.ExitStack()
        opening = self.open.enter_context(place(kind))
        self.runner = self.open.enter_context(asyncio.Runner())
        self.ledger = opening(self.clock)
        self.replica = self.ledger if kind == "memory" else opening(self.clock)
        self.leases: list[Lease] = []
        self.charges = {
            pool: Charge(pool=pool[0], field=pool[1], amount=0, limit=10, window_s=10.0, buckets=10)
            for pool in POOLS
        }
        self.said = 0

    def do(self, operation):
        self.oracle.overdue(self.clock.ticks)
        return self.runner.run(operation)

    @rule(ticks=st.sampled_from(JUMPS))
    def time_passes(self, ticks: int) -> None:
        self.clock.advance(ticks)

    @precondition(lambda self: self.moments())
    @rule(data=st.data(), early=st.integers(0, 1))
    def something_leaves_its_window(self, data, early: int) -> None:
        self.clock.advance(data.draw(st.sampled_from(self.moments())) - self.clock.ticks - early)

    def moments(self) -> list[int]:
        """When anything that counts will have left."""
        entries = [entry for pool in self.oracle.pools.values() for entry in pool.entries]
        return sorted({entry.leaves for entry in entries if entry.leaves > self.clock.ticks})

    @precondition(lambda self: self.may_go_back)
    @rule(ticks=st.sampled_from(JUMPS))
    def the_clock_is_set_back(self, ticks: int) -> None:
        self.clock.back(ticks)

    @rule(pool=st.sampled_from(POOLS), data=st.data())
    def the_policy_changes(self, pool, data) -> None:
        self.charges[pool] = terms(*pool, data.draw)

    @rule(
        wanted=st.dictionaries(st.sampled_from(POOLS), st.integers(0, 5) | st.integers(0, 13), min_size=1),
        ttl=st.sampled_from((1, 400_000, 20_000_000, 120_000_000, 120_000_000)),
        hard=st.booleans() | st.just(True),
    )
    def reserve(self, wanted, ttl: int, hard: bool) -> None:
        charges = tuple(
            Charge(**{**_fields(self.charges[pool]), "amount": amount})
            for pool, amount in sorted(wanted.items())
        )
        name, self.said = f"lease_{self.said}", self.said + 1
        answer = self.do(self.ledger.reserve(name, charges, ttl_s=ttl / TICK, hard=hard))
        oracle, now = self.oracle, self.oracle.effective(charges, self.clock.ticks)
        pools = [oracle.meet(charge, now) for charge in charges]
        refused = [c for c, p in zip(charges, pools, strict=True) if p.level(now) + c.amount > c.limit]
        if isinstance(answer, Refusal):
            assert refused
            assert hard, "soft limits refuse nothing"
            at = oracle.fits_at(charges, now)
            assert answer.retry_after_s == (
                None if at is None else pytest.approx((at - now) / TICK, abs=1e-9)
            )
            assert answer.charge in refused
            if at is not None and at > now:
                assert not oracle.fits((answer.charge,), at - 1), "one tick earlier it does not fit"
        else:
            assert not (refused and hard)
            assert answer.lease == Lease(
                id=name, charges=charges, admitted_s=now / TICK, expires_s=(now + ttl) / TICK
            )
            before = [(c.pool, c.field, *oracle.pools[c.pool, c.field].stands(now)) for c in refused]
            assert [(s.pool, s.field, s.used, s.reserved) for s in answer.over] == before
            crossed = oracle.hold(name, charges, now, ttl)
            assert [(c.standing.pool, c.standing.field) for c in answer.crossings] == crossed
            self.leases.append(answer.lease)
            for charge, pool in zip(charges, pools, strict=True):
                assert not hard or pool.in_the_last_window(now) <= charge.limit, "more than a window's worth"
        self.agree(answer.standings, charges, now)

    @precondition(lambda self: self.leases)
    @rule(data=st.data(), tokens=st.integers(0, 16), requests=st.integers(0, 1), elsewhere=st.booleans())
    def settle(self, data, tokens: int, requests: int, elsewhere: bool) -> None:
        lease = data.draw(st.sampled_from(self.leases))
        ledger = self.replica if elsewhere else self.ledger
        answer = self.do(ledger.settle(lease, tokens=tokens, requests=requests))
        used = {"tokens": tokens, "requests": requests}
        outcome, crossed = self.oracle.settle(lease.id, self.clock.ticks, used)
        assert answer.again == (outcome == "again")
        told = [(each.pool, each.field, each.amount) for each in answer.amounts]
        assert told == [(c.pool, c.field, 0 if answer.again else used[c.field]) for c in lease.charges]
        for each in answer.amounts:
            pool = self.oracle.pools[each.pool, each.field]
            assert (each.used, each.reserved) == pool.stands(max(self.clock.ticks, pool.latest)), each
        if not answer.again:
            assert answer.outcome == outcome
            assert answer.overrun == max(0, *(used[c.field] - c.amount for c in lease.charges))
            assert [(c.standing.pool, c.standing.field) for c in answer.crossings] == crossed

    @rule()
    def expire(self) -> None:
        found = self.do(self.ledger.expire())
        assert sorted(lease.id for lease in found) == sorted(self.oracle.unreported)
        assert all(lease in self.leases for lease in found)
        self.oracle.unreported = []

    @rule(name=st.sampled_from(NAMES))
    def reset(self, name: str) -> None:
        self.do(self.ledger.reset(name))
        self.oracle.reset(name, self.clock.ticks)

    @invariant()
    def every_pool_stands_as_the_oracle_says(self) -> None:
        charges = tuple(pool.charge for pool in self.oracle.pools.values())
        if not charges:
            return
        standings = self.do(self.replica.standings(charges))
        self.agree(standings, charges, self.clock.ticks)
        alive = {
            key: (pool.stands(at), pool.charge.limit)
            for key, pool in self.oracle.pools.items()
            if sum(pool.stands(at := max(self.clock.ticks, pool.latest)))
        }
        every = self.do(self.replica.standings())
        assert {(s.pool, s.field): ((s.used, s.reserved), s.limit) for s in every} == alive
        for lease in self.oracle.open.values():
            assert lease.expires > self.clock.ticks, "no lease outlives its time"

    def agree(self, standings, charges, now: int) -> None:
        assert [(s.pool, s.field) for s in standings] == [(c.pool, c.field) for c in charges]
        for standing, charge in zip(standings, charges, strict=True):
            pool = self.oracle.pools[charge.pool, charge.field]
            at = max(now, pool.latest)
            assert (standing.used, standing.reserved) == pool.stands(at), standing
            assert standing.limit == charge.limit
            assert standing.kind == charge.kind
            assert standing.used + standing.reserved + standing.free == standing.limit
            assert standing.reserved >= 0
            assert standing.used >= 0
            assert standing.resets_s == pytest.approx(pool.resets(at) / TICK, abs=1e-9)

    def teardown(self) -> None:
        self.runner.run(self.ledger.aclose())
        self.runner.run(self.replica.aclose())
        self.open.close()


def _fields(charge: Charge) -> dict[str, object]:
    return {name: getattr(charge, name) for name in charge.__struct_fields__}


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.timeout(600)
def test_the_ledger_answers_as_its_oracle(kind: str) -> None:
    """No admission above a hard limit, used + reserved + free = limit, exact Retry-After, one warning a crossing."""
    share = {"memory": 1, "sqlite": 2, "redis": 3, "postgres": 6}[kind]
    examples = settings(max_examples=settings().max_examples // share, stateful_step_count=40)
    run_state_machine_as_test(lambda: LedgerMachine(kind), settings=examples)
