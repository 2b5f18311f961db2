"""Budgets as a store and a ledger keep them: which policy is in force, putting another, emptying a pool.

The policy in force is the last change of the stream; its position there is the revision.
"""

from __future__ import annotations

from asyncio import to_thread

from msgspec.structs import replace

from symposia.core.errors import UnknownName
from symposia.core.served import BudgetConfigUpdated, BudgetReset
from symposia.core.store import Conflict, Entry, Query
from symposia.core.value import canonical
from symposia.store import Storage
from symposia.store.audit import Act

from .budget import CostPolicy, form, policy_of, written
from .ledger import Ledger, Standing

STREAM = "budget"
_TRIES = 10


class UnknownPool(UnknownName):
    """No pool of that name holds anything; the message lists those that do."""


def in_force(storage: Storage) -> tuple[CostPolicy, int]:
    """The policy and its revision; no limits and 0 where none was ever set."""
    policy, revision = CostPolicy(), 0
    for record in storage.events.read(Query(stream=STREAM)):
        revision = record.position
        if isinstance(record.event, BudgetConfigUpdated) and record.event.after is not None:
            policy = policy_of(record.event.after, f"budget of revision {revision}")
    return policy, revision


def put_in_force(
    storage: Storage,
    after: CostPolicy,
    *,
    expect: int | None = None,
    actor: str,
    reason: str,
    now: float,
) -> int:
    """Replace the policy, of revision `expect` if one is named; the new revision. `Conflict` if another is in force."""
    before, _ = in_force(storage)
    event = BudgetConfigUpdated(before=form(before), after=form(after), actor=actor, reason=reason)
    act = Act(
        actor=actor,
        action="budget_config_updated",
        subject=STREAM,
        before=written(before).decode(),
        after=written(after).decode(),
        reason=reason,
    )
    entry = Entry(event=event, stream=STREAM, time=now)
    return storage.record(entry, act, expect=expect).position


def switch_hard_limits(storage: Storage, enabled: bool, *, actor: str, reason: str, now: float) -> int:
    """Change that field alone, whatever else changes meanwhile; the new revision. `Conflict` if it never rests."""
    conflict: Conflict | None = None
    for _ in range(_TRIES):
        policy, revision = in_force(storage)
        after = replace(policy, hard_limits=enabled)
        try:
            return put_in_force(storage, after, expect=revision, actor=actor, reason=reason, now=now)
        except Conflict as error:
            conflict = error
    assert conflict is not None
    raise conflict


async def emptied(
    storage: Storage, ledger: Ledger, pool: str, *, actor: str, reason: str, now: float
) -> tuple[Standing, ...]:
    """Empty a pool; how it stands after. `UnknownPool` if nothing is held in it."""
    known = await ledger.standings()
    before = _of(known, pool)
    if not before:
        raise UnknownPool("pool", pool, {one.pool for one in known})
    await ledger.reset(pool)
    after = _of(await ledger.standings(), pool)
    act = Act(
        actor=actor,
        action="budget_reset",
        subject=pool,
        before=canonical(before).decode(),
        after=canonical(after).decode(),
        reason=reason,
    )
    event = BudgetReset(pool=pool, actor=actor, reason=reason)
    await to_thread(storage.record, Entry(event=event, stream="requests", time=now), act)
    return after


def _of(standings: tuple[Standing, ...], pool: str) -> tuple[Standing, ...]:
    return tuple(one for one in standings if one.pool == pool)
