"""Budgets: the policy in force by its revision, how pools stand, and the ways to unblock them."""

from __future__ import annotations

import re
from asyncio import to_thread
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from symposia.core.served import BudgetReset
from symposia.core.store import Conflict, Entry
from symposia.core.value import canonical
from symposia.serve.budget import CostPolicy, policy_of, written
from symposia.serve.budget.file import FlatPolicy
from symposia.serve.faults import Fault
from symposia.serve.ledger import Standing
from symposia.serve.policies import in_force, put_in_force
from symposia.store.audit import Act

from .forms import HardLimitsForm, ResetForm, UsageQuery, Why
from .operation import Ask, Reply
from .shown import PoolShown, Revised, Usage, pool_shown

if TYPE_CHECKING:
    from symposia.serve.server import Server

_TRIES = 5
_ETAG = re.compile(r'(?:W/)?"(\d{1,18})"')


async def shown(server: Server, ask: Ask[None, None]) -> Reply:
    """The policy in force; its ETag is the revision that a change must name."""
    del ask
    policy, revision = await to_thread(in_force, server.storage)
    return Reply(written(policy), headers=(_etag(revision),))


async def put(server: Server, ask: Ask[FlatPolicy, Why]) -> Reply:
    """Replace the policy of the revision that `If-Match` names."""
    after = policy_of(msgspec.to_builtins(ask.body))
    expected = _ETAG.fullmatch((ask.if_match or "").strip())
    if expected is None:
        _, revision = await to_thread(in_force, server.storage)
        raise _stale(revision)
    try:
        return await _put(server, after, expect=int(expected[1]), actor=ask.actor, reason=ask.query.reason)
    except Conflict as conflict:
        raise _stale(conflict.found) from conflict


async def hard_limits(server: Server, ask: Ask[HardLimitsForm, None]) -> Reply:
    """Refuse again, or only count: a change of that field alone, whatever the revision."""
    for _ in range(_TRIES):
        before, revision = await to_thread(in_force, server.storage)
        after = replace(before, hard_limits=ask.body.enabled)
        with suppress(Conflict):
            return await _put(server, after, expect=revision, actor=ask.actor, reason=ask.body.reason)
    raise Fault("server_is_overloaded", "the policy changes faster than it can be read; ask again")


async def usage(server: Server, ask: Ask[None, UsageQuery]) -> Reply:
    """How pools stand; those that hold nothing are not there."""
    return Reply(Usage(pools=_of(await server.ledger.standings(), ask.query.pool)))


async def reset(server: Server, ask: Ask[ResetForm, None]) -> Reply:
    """Empty a pool."""
    pool = ask.body.pool
    before = _of(await server.ledger.standings(), pool)
    if not before:
        raise Fault(
            "not_found",
            f"pool {pool!r} holds nothing now; GET /admin/v1/budget/usage lists those that do",
            param="pool",
        )
    await server.ledger.reset(pool)
    after = _of(await server.ledger.standings(), pool)
    act = Act(
        actor=ask.actor,
        action="budget_reset",
        subject=pool,
        before=canonical(before).decode(),
        after=canonical(after).decode(),
        reason=ask.body.reason,
    )
    event = BudgetReset(pool=pool, actor=ask.actor, reason=ask.body.reason)
    entry = Entry(event=event, stream="requests", time=server.clock.time())
    await to_thread(server.storage.record, entry, act)
    return Reply(Usage(pools=after))


async def _put(server: Server, after: CostPolicy, *, expect: int, actor: str, reason: str) -> Reply:
    now = server.clock.time()
    revision = await to_thread(
        put_in_force, server.storage, after, expect=expect, actor=actor, reason=reason, now=now
    )
    return Reply(Revised(revision=revision, hard_limits=after.hard_limits), headers=(_etag(revision),))


def _of(standings: Iterable[Standing], pool: str | None) -> tuple[PoolShown, ...]:
    return tuple(pool_shown(one) for one in standings if pool in (None, one.pool))


def _etag(revision: int) -> tuple[str, str]:
    return ("etag", f'"{revision}"')


def _stale(revision: int) -> Fault:
    return Fault(
        "precondition_failed",
        f'If-Match: expected "{revision}", the revision in force; read it and decide again',
        param="if-match",
        headers=(_etag(revision),),
    )
