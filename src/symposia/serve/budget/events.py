"""What is told of decisions: the events a request's holding and settling leave behind."""

from __future__ import annotations

from symposia.core.served import BudgetDecision, BudgetSettled, BudgetWarning, Charged
from symposia.serve.ledger import Charge, Crossing, Lease, Settlement, Standing

from .hold import BudgetExceeded, Decision


def decided(decision: Decision, request_id: str, policy: int) -> BudgetDecision:
    """Of a request that may go on and was held. `policy`: the revision that decided."""
    lease, route = decision.lease, decision.route
    return BudgetDecision(
        decision="would_block" if decision.decision == "would_block" else "allowed",
        request_id=request_id,
        model=route.model,
        profile=route.profile,
        key=route.key,
        lease=lease.id if lease else "",
        admitted_s=lease.admitted_s if lease else 0.0,
        expires_s=lease.expires_s if lease else 0.0,
        charges=_charged(decision.standings, lease.charges) if lease else (),
        policy=policy,
    )


def blocked(error: BudgetExceeded, request_id: str, policy: int) -> BudgetDecision:
    """Of a request that was refused."""
    route, refusal = error.route, error.refusal
    return BudgetDecision(
        decision="blocked",
        request_id=request_id,
        model=route.model,
        profile=route.profile,
        key=route.key,
        charges=tuple(
            [
                standing.charged(error.tokens if standing.field == "tokens" else 1)
                for standing in refusal.standings
            ]
        ),
        retry_after_s=refusal.retry_after_s,
        policy=policy,
    )


def warned(crossing: Crossing) -> BudgetWarning:
    """Of a pool that reached its soft line."""
    standing = crossing.standing
    return BudgetWarning(
        pool=standing.pool,
        field=standing.field,
        used=standing.used,
        reserved=standing.reserved,
        limit=standing.limit,
        fraction=crossing.fraction,
    )


def settled(settlement: Settlement, lease: Lease) -> BudgetSettled:
    """Of a lease that was settled."""
    return BudgetSettled(
        outcome=settlement.outcome,
        lease=lease.id,
        amounts=settlement.amounts,
        overrun=settlement.overrun,
    )


def expired(lease: Lease) -> BudgetSettled:
    """Of a lease whose time ran out."""
    return BudgetSettled(outcome="expired", lease=lease.id)


def _charged(standings: tuple[Standing, ...], charges: tuple[Charge, ...]) -> tuple[Charged, ...]:
    pairs = zip(standings, charges, strict=True)
    return tuple([standing.charged(charge.amount) for standing, charge in pairs])
