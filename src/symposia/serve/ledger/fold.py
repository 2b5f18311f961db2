"""The ledger of one process after a restart: what its budget events say is still held and used."""

from __future__ import annotations

from collections.abc import Iterable

from symposia.core.clock import Clock
from symposia.core.served import BudgetDecision, BudgetReset, BudgetSettled, Field
from symposia.core.store import Logged
from symposia.serve.budget.policy import CostPolicy, Route
from symposia.serve.budget.resolve import charges

from . import Lease
from .memory import MemoryLedger

TYPES = ("budget_decision", "budget_settled", "budget_reset")
"""The tags of the events it reads; `horizon_s(policy)` says how far back."""


def folded(events: Iterable[Logged], policy: CostPolicy, clock: Clock) -> MemoryLedger:
    """A ledger holding what `events`, oldest first, leave held and used. Open leases keep their expiry.

    Pools are those of `policy`: usage of a rule that is gone is forgotten, a changed window is filled by true times.
    """
    ledger = MemoryLedger(clock)
    leases: dict[str, Lease] = {}
    for event in events:
        if isinstance(event, BudgetDecision):
            if event.lease:
                lease = leases[event.lease] = _lease(event, policy)
                ledger.restore(lease)
        elif isinstance(event, BudgetSettled):
            known = leases.get(event.lease)
            if known is not None and event.outcome == "expired":
                ledger.restore_expired(known)
            elif known is not None:
                used: dict[Field, int] = {each.field: each.amount for each in event.amounts}
                ledger.restore_settled(known, tokens=used.get("tokens", 0), requests=used.get("requests", 0))
        elif isinstance(event, BudgetReset):
            ledger.restore_reset(event.pool)
    return ledger


def _lease(event: BudgetDecision, policy: CostPolicy) -> Lease:
    """The reservation of an event, against the pools of today."""
    amounts = {(charged.pool, charged.field): charged.amount for charged in event.charges}
    tokens = max((amount for (_, field), amount in amounts.items() if field == "tokens"), default=0)
    route = Route(model=event.model, profile=event.profile, key=event.key)
    held = tuple(c for c in charges(policy, route, tokens) if (c.pool, c.field) in amounts)
    return Lease(id=event.lease, charges=held, admitted_s=event.admitted_s, expires_s=event.expires_s)
