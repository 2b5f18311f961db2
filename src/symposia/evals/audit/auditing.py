"""Auditing finished debates: every selection repeated over all rotations, then measured."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from symposia.core.value import Count, Value
from symposia.evals.replay.replaying import Held
from symposia.talk.converse import converse
from symposia.talk.debate.setting import kit_for

from .measures import Audit, audit
from .picks import Pick
from .rotations import picks_of, rotations


class Audited(Value, frozen=True, kw_only=True):
    """An audit, the selections it rests on, and the calls that the journal did not answer."""

    audit: Audit
    picks: tuple[Pick, ...]
    calls: Count


async def audit_debates(held: Sequence[tuple[str, Held]]) -> Audited:
    """Repeat the selections of debates, each with its name, with more than one candidate; leave out the others."""
    asked = sum(one.backend.calls for one in {id(h.backend): h for _, h in held}.values())
    found = await asyncio.gather(*(_picks(name, one) for name, one in held))
    picks = tuple(pick for picks in found for pick in picks)
    now = sum(one.backend.calls for one in {id(h.backend): h for _, h in held}.values())
    return Audited(audit=audit(picks), picks=picks, calls=now - asked)


async def _picks(name: str, held: Held) -> tuple[Pick, ...]:
    protocol = rotations(held.transcript, held.debate)
    if protocol is None:
        return ()
    done = await converse(
        protocol,
        held.debate.participants,
        held.backend,
        transcript=held.transcript,
        rules=replace(held.rules, seed_key=(*held.rules.seed_key, "audit")),
        kit=kit_for(held.debate, held.kit),
    )
    return picks_of(held.transcript, done.transcript, held.debate, name)
