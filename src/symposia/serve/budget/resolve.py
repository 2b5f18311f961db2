"""Which pools a request draws on, and how much of each. Pure; the order of rules in a file never matters."""

from __future__ import annotations

from functools import lru_cache

from msgspec.structs import replace

from symposia.core.served import Field
from symposia.serve.ledger import Charge

from .policy import CostPolicy, Route, Rule


def charges(policy: CostPolicy, route: Route, tokens: int) -> tuple[Charge, ...]:
    """What a request of `tokens` (prompt and the most it may produce) would be charged, sorted by pool and field."""
    return tuple(
        [replace(each, amount=tokens) if each.field == "tokens" else each for each in _pools(policy, route)]
    )


@lru_cache(maxsize=4096)
def counts_tokens(policy: CostPolicy, route: Route) -> bool:
    """Whether any pool that a request draws on is one of tokens."""
    return any(each.field == "tokens" for each in _pools(policy, route))


def horizon_s(policy: CostPolicy) -> float:
    """How far back a charge can still count: the longest window and a bucket of it."""
    longest = max(rule.limits.window_s for _, rule in policy.rules)
    return longest * (policy.buckets + 1) / policy.buckets


@lru_cache(maxsize=4096)  # a pure function of two frozen values, asked for on every request
def _pools(policy: CostPolicy, route: Route) -> tuple[Charge, ...]:
    """The charges of a request without tokens."""
    fields: tuple[Field, ...] = ("tokens", "requests")
    found = [
        _charge(policy, route, rule, kind, field)
        for field in fields
        for kind, rule in _one(policy, route, field)
    ]
    found += [
        _charge(policy, route, rule, "ceiling", field)
        for rule in policy.ceilings
        if rule.match.matches(route)
        for field in rule.limits.by_field
    ]
    return tuple(sorted(found, key=lambda charge: (charge.pool, charge.field)))


def _one(policy: CostPolicy, route: Route, field: Field) -> list[tuple[str, Rule]]:
    """The rule that sets a field: the most specific override, else the default, if any does."""
    matching = [r for r in policy.overrides if field in r.limits.by_field and r.match.matches(route)]
    if matching:
        return [("override", max(matching, key=lambda rule: len(rule.match.named)))]
    return [("default", policy.default)] if field in policy.default.limits.by_field else []


def _charge(policy: CostPolicy, route: Route, rule: Rule, kind: str, field: Field) -> Charge:
    return Charge(
        pool=rule.pool(route, kind),
        field=field,
        amount=1 if field == "requests" else 0,
        limit=rule.limits.by_field[field],
        soft=rule.limits.soft_fraction,
        window_s=rule.limits.window_s,
        buckets=policy.buckets,
        kind=rule.kind,
    )
