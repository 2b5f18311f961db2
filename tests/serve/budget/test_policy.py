"""Promises of a budget policy: resolved per field, never by order, and refused where it could be read in two ways."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from symposia.core.errors import InvalidInput
from symposia.serve.budget import (
    AmbiguousBudget,
    CostPolicy,
    Limits,
    Match,
    Route,
    Rule,
    charges,
    counts_tokens,
    horizon_s,
)

MODELS, PROFILES, KEYS = ("m", "n"), ("none", "p"), ("k", "l")
ROUTES = [Route(model=m, profile=p, key=k) for m, p, k in itertools.product(MODELS, PROFILES, KEYS)]


def optional(values):
    return st.none() | st.sampled_from(values)


limits = st.builds(
    Limits,
    max_tokens=st.none() | st.integers(0, 9),
    max_requests=st.none() | st.integers(0, 9),
    window_s=st.sampled_from((1.0, 60.0)),
    soft_fraction=st.sampled_from((0.5, 0.8)),
)
matches = st.builds(Match, model=optional(MODELS), profile=optional(PROFILES), key=optional(KEYS))
overrides = st.lists(st.builds(Rule, match=matches, limits=limits), max_size=5)


def made(rules) -> CostPolicy:
    try:
        return CostPolicy(default=Rule(limits=Limits(max_tokens=100)), overrides=tuple(rules))
    except AmbiguousBudget:
        assume(False)


def told(rules) -> tuple[CostPolicy | None, AmbiguousBudget | None]:
    try:
        return CostPolicy(overrides=tuple(rules)), None
    except AmbiguousBudget as error:
        return None, error


def limit_of(policy: CostPolicy, route: Route, field: str) -> int | None:
    return next((c.limit for c in charges(policy, route, 1) if c.field == field), None)


@given(overrides, st.randoms())
def test_the_order_of_overrides_never_matters(rules, shuffle) -> None:
    """Nor whether the policy is ambiguous, nor what any request is charged."""
    other = list(rules)
    shuffle.shuffle(other)
    policy, again = (
        made(rules),
        CostPolicy(default=Rule(limits=Limits(max_tokens=100)), overrides=tuple(other)),
    )
    for route in ROUTES:
        assert charges(policy, route, 7) == charges(again, route, 7)


@given(overrides, st.integers(0, 9))
def test_a_request_is_charged_its_tokens_and_one_request(rules, tokens: int) -> None:
    """Whatever was asked before; and whether tokens count at all is known before they are counted."""
    policy = told(rules)[0]
    assume(policy is not None)
    for route in ROUTES:
        wanted = charges(policy, route, tokens)
        assert all(c.amount == (tokens if c.field == "tokens" else 1) for c in wanted)
        assert counts_tokens(policy, route) == any(c.field == "tokens" for c in wanted)


@given(overrides)
def test_a_policy_is_ambiguous_exactly_if_two_most_specific_overrides_would_compete(rules) -> None:
    """Told the long way: for every request and field, the winners by number of dimensions named are counted."""
    policy, error = told(rules)
    if error is not None:
        one, other = error.one, error.other
        assert one.shown in str(error)
        assert other.shown in str(error)
        assert len(one.match.named) == len(other.match.named)
        both = [r for r in ROUTES if one.match.matches(r) and other.match.matches(r)]
        assert both
        assert all(error.field in rule.limits.by_field for rule in (one, other))
        return
    assert policy is not None
    for route, field in itertools.product(ROUTES, ("tokens", "requests")):
        found = [rule for rule in rules if rule.match.matches(route) and field in rule.limits.by_field]
        most = max((len(rule.match.named) for rule in found), default=0)
        winners = [rule for rule in found if len(rule.match.named) == most]
        assert len(winners) <= 1
        assert limit_of(policy, route, field) == (winners[0].limits.by_field[field] if winners else None)


def test_fields_are_resolved_apart_each_with_its_rules_window() -> None:
    """The more specific override sets one field only; the other comes from the next, or from the default."""
    policy = CostPolicy(
        default=Rule(limits=Limits(max_tokens=1, max_requests=2, window_s=3600)),
        overrides=(
            Rule(match=Match(model="m"), limits=Limits(max_tokens=3, window_s=60, soft_fraction=0.5)),
            Rule(match=Match(model="m", profile="p"), limits=Limits(max_requests=4)),
        ),
    )
    requests, tokens = charges(policy, Route(model="m", profile="p"), 10)
    assert (requests.field, requests.limit, requests.amount, requests.window_s) == ("requests", 4, 1, 3600)
    assert (tokens.field, tokens.limit, tokens.amount, tokens.window_s, tokens.soft) == (
        "tokens",
        3,
        10,
        60,
        0.5,
    )
    assert [c.limit for c in charges(policy, Route(model="n"), 10)] == [2, 1]


def test_a_third_override_of_the_union_settles_two_that_compete() -> None:
    """Without it, both are named; with it for one field only, the other field still competes."""
    one = Rule(match=Match(model="tiny"), limits=Limits(max_tokens=1, max_requests=1))
    other = Rule(match=Match(profile="premium"), limits=Limits(max_tokens=2, max_requests=2))
    with pytest.raises(
        AmbiguousBudget, match=r'"model":"tiny".*"profile":"premium".*"model":"tiny","profile":"premium"'
    ):
        CostPolicy(overrides=(one, other))
    both = Match(model="tiny", profile="premium")
    with pytest.raises(AmbiguousBudget, match="both set max_requests"):
        CostPolicy(overrides=(one, other, Rule(match=both, limits=Limits(max_tokens=3))))
    policy = CostPolicy(overrides=(one, other, Rule(match=both, limits=Limits(max_tokens=3, max_requests=3))))
    assert limit_of(policy, Route(model="tiny", profile="premium"), "tokens") == 3
    assert limit_of(policy, Route(model="tiny"), "tokens") == 1


def test_two_overrides_of_the_same_match_are_ambiguous_whatever_else_is_said() -> None:
    """No third rule can be more specific than both for all their requests."""
    rules = [Rule(match=Match(model="m"), limits=Limits(max_tokens=n), name=f"r{n}") for n in (1, 2)]
    with pytest.raises(AmbiguousBudget, match=r"'r1' .*'r2' .*keep one of them"):
        CostPolicy(overrides=(*rules, Rule(match=Match(model="m", key="k"), limits=Limits(max_tokens=3))))


def test_a_pool_is_a_rule_and_the_values_it_is_per() -> None:
    """An override gives each route its own pool, one per model shares it, a ceiling applies as well."""
    policy = CostPolicy(
        default=Rule(limits=Limits(max_tokens=1)),
        overrides=(Rule(match=Match(model="shared"), per=("model",), limits=Limits(max_tokens=2)),),
        ceilings=(
            Rule(name="per-key rpm", kind="rate", per=("key",), limits=Limits(max_requests=3, window_s=60)),
        ),
    )

    def pools(model: str, profile: str) -> list[tuple[str, str]]:
        return [(c.pool, c.kind) for c in charges(policy, Route(model=model, profile=profile, key="k"), 1)]

    rate = ("per-key rpm[key=k]", "rate")
    assert pools("m", "p") == [("default[model=m,profile=p]", "budget"), rate]
    assert pools("shared", "p") == pools("shared", "q") == [("model=shared[model=shared]", "budget"), rate]
    assert pools("m", "p") != pools("m", "q")


names = st.text("a,=[]%é /", max_size=4)


@given(names, names, names, names)
def test_different_routes_never_share_a_pool(model: str, profile: str, other: str, another: str) -> None:
    """Whatever is in the names: commas, brackets, equals signs."""
    assume((model, profile) != (other, another))
    policy = CostPolicy(default=Rule(limits=Limits(max_tokens=1)))
    (one,) = charges(policy, Route(model=model, profile=profile), 1)
    (two,) = charges(policy, Route(model=other, profile=another), 1)
    assert one.pool != two.pool


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"default": Rule(match=Match(model="m"))}, "a rule for some requests is an override"),
        (
            {"ceilings": (Rule(limits=Limits(max_tokens=1)), Rule(limits=Limits(max_tokens=2, window_s=60)))},
            "share one pool of tokens; give each ceiling a name",
        ),
        (
            {
                "overrides": (Rule(match=Match(model="m"), limits=Limits(max_tokens=1), name="x"),),
                "ceilings": (Rule(limits=Limits(max_tokens=1), name="x"),),
            },
            "share one pool of tokens",
        ),
    ],
)
def test_a_policy_whose_pools_would_mingle_is_refused(given, said: str) -> None:
    """Rather than counted twice, or together."""
    with pytest.raises(InvalidInput, match=said):
        CostPolicy(**given)


def test_nothing_configured_charges_nothing() -> None:
    """No limits are no pools."""
    assert charges(CostPolicy(), Route(model="m"), 5) == ()


def test_the_horizon_is_the_longest_window_and_a_bucket() -> None:
    """How far back events can still count."""
    policy = CostPolicy(ceilings=(Rule(limits=Limits(max_tokens=1, window_s=7200)),), buckets=60)
    assert horizon_s(policy) == 7320
