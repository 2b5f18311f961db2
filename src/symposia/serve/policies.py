"""Which budget is in force, as the store keeps it: the last change of the stream; its position is the revision."""

from __future__ import annotations

from symposia.core.served import BudgetConfigUpdated
from symposia.core.store import Entry, Query
from symposia.store import Storage
from symposia.store.audit import Act

from .budget import CostPolicy, form, policy_of, written

STREAM = "budget"


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
