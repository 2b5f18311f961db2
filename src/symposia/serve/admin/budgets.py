"""Budgets: the policy in force by its revision, how pools stand, and the ways to unblock them."""

from __future__ import annotations

import re
from asyncio import to_thread
from typing import TYPE_CHECKING

import msgspec

from symposia.core.store import Conflict
from symposia.serve.budget import policy_of, written
from symposia.serve.budget.file import FlatPolicy
from symposia.serve.faults import Fault
from symposia.serve.policies import emptied, in_force, put_in_force, switch_hard_limits

from .forms import HardLimitsForm, ResetForm, UsageQuery, Why
from .operation import Ask, Reply
from .shown import Revised, Usage, pool_shown

if TYPE_CHECKING:
    from symposia.serve.server import Server

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
    told, now = int(expected[1]), server.clock.time()
    try:
        revision = await to_thread(
            lambda: put_in_force(
                server.storage, after, expect=told, actor=ask.actor, reason=ask.query.reason, now=now
            )
        )
    except Conflict as conflict:
        raise _stale(conflict.found) from conflict
    return _revised(revision, after.hard_limits)


async def hard_limits(server: Server, ask: Ask[HardLimitsForm, None]) -> Reply:
    """Refuse again, or only count: a change of that field alone, whatever the revision."""
    form, now = ask.body, server.clock.time()
    revision = await to_thread(
        lambda: switch_hard_limits(server.storage, form.enabled, actor=ask.actor, reason=form.reason, now=now)
    )
    return _revised(revision, form.enabled)


async def usage(server: Server, ask: Ask[None, UsageQuery]) -> Reply:
    """How pools stand; those that hold nothing are not there."""
    pool = ask.query.pool
    found = [one for one in await server.ledger.standings() if pool in (None, one.pool)]
    return Reply(Usage(pools=tuple(map(pool_shown, found))))


async def reset(server: Server, ask: Ask[ResetForm, None]) -> Reply:
    """Empty a pool."""
    form, now = ask.body, server.clock.time()
    after = await emptied(
        server.storage, server.ledger, form.pool, actor=ask.actor, reason=form.reason, now=now
    )
    return Reply(Usage(pools=tuple(map(pool_shown, after))))


def _revised(revision: int, hard_limits: bool) -> Reply:
    return Reply(Revised(revision=revision, hard_limits=hard_limits), headers=(_etag(revision),))


def _etag(revision: int) -> tuple[str, str]:
    return ("etag", f'"{revision}"')


def _stale(revision: int) -> Fault:
    return Fault(
        "precondition_failed",
        f'If-Match: expected "{revision}", the revision in force; read it and decide again',
        param="if-match",
        headers=(_etag(revision),),
    )
