"""Promises of a written policy: TOML and JSON say the same, unknown keys are named, what is written reads back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from symposia.core.errors import InvalidInput, UnknownName
from symposia.core.value import canonical
from symposia.serve.budget import (
    AmbiguousBudget,
    CostPolicy,
    Limits,
    Match,
    Rule,
    form,
    policy_of,
    read,
    written,
)

TOML = """
default   = {max_tokens = 1_000_000, max_requests = 10_000, soft_fraction = 0.8, window_s = 3600}
overrides = [{match = {model = "tiny"}, max_tokens = 2_000_000}, {match = {profile = "premium"}, max_requests = 50_000}]
ceilings  = [{name = "per-key rpm", kind = "rate", per = ["key"], max_requests = 600, window_s = 60}]
"""
WANTED = CostPolicy(
    default=Rule(limits=Limits(max_tokens=1_000_000, max_requests=10_000)),
    overrides=(
        Rule(match=Match(model="tiny"), limits=Limits(max_tokens=2_000_000)),
        Rule(match=Match(profile="premium"), limits=Limits(max_requests=50_000)),
    ),
    ceilings=(
        Rule(name="per-key rpm", kind="rate", per=("key",), limits=Limits(max_requests=600, window_s=60)),
    ),
)


def test_the_example_of_the_documents_is_read(tmp_path: Path) -> None:
    """From TOML, and from the JSON an administrator sends."""
    (tmp_path / "budget.toml").write_text(TOML, encoding="utf-8")
    policy = read(tmp_path / "budget.toml")
    assert policy == WANTED
    (tmp_path / "budget.json").write_text(json.dumps(form(policy)), encoding="utf-8")
    assert read(tmp_path / "budget.json") == WANTED


rules = st.builds(
    Rule,
    match=st.builds(Match, model=st.none() | st.sampled_from(("a", "b")), key=st.none() | st.just("k")),
    limits=st.builds(
        Limits, max_tokens=st.none() | st.integers(0, 10**12), window_s=st.sampled_from((0.5, 60.0))
    ),
    name=st.sampled_from(("", "x", "y z")),
    kind=st.sampled_from(("budget", "rate")),
    per=st.sampled_from(((), ("key",), ("model", "profile"))),
)


@given(st.lists(rules, max_size=3), st.lists(rules, max_size=3), st.booleans(), st.integers(1, 1000))
def test_what_is_written_reads_back(overrides, ceilings, hard: bool, buckets: int) -> None:
    """And its JSON is canonical: equal policies, equal bytes."""
    try:
        policy = CostPolicy(
            overrides=tuple(overrides), ceilings=tuple(ceilings), hard_limits=hard, buckets=buckets
        )
    except InvalidInput:
        assume(False)
    assert policy_of(json.loads(written(policy))) == policy
    assert canonical(form(policy)) == written(policy)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"hard_limit": True}, r"unknown key of budget 'hard_limit'.*did you mean 'hard_limits'"),
        (
            {"default": {"max_token": 1}},
            r"unknown key of budget: default 'max_token'.*did you mean 'max_tokens'",
        ),
        (
            {"overrides": [{"match": {"modle": "x"}}]},
            r"budget: overrides: match 'modle'.*did you mean 'model'",
        ),
        ({"ceilings": [{"limits": {"max_tokens": 1}}]}, "unknown key of budget: ceilings 'limits'"),
    ],
)
def test_an_unknown_key_is_named_with_the_nearest(given, said: str) -> None:
    """Wherever it stands."""
    with pytest.raises(UnknownName, match=said):
        policy_of(given)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"default": {"max_tokens": -1}}, r"budget: .*>= 0.*default.max_tokens"),
        ({"default": {"max_tokens": "many"}}, r"Expected `int"),
        ({"default": {"soft_fraction": 0}}, r"default.soft_fraction"),
        ({"default": {"window_s": 0}}, r"default.window_s"),
        ({"default": {"per": ["model", "model"]}}, "each dimension once"),
        ({"default": {"per": ["user"]}}, r"Invalid enum value 'user'"),
        ({"buckets": 0}, r"buckets"),
        ({"ledger_down": "shut"}, r"Invalid enum value 'shut'"),
        ([], "Expected `object`, got `array`"),
    ],
)
def test_a_value_out_of_range_is_named_with_its_place(given, said: str) -> None:
    """What was expected, and what came."""
    with pytest.raises(InvalidInput, match=said):
        policy_of(given)


def test_a_file_that_is_ambiguous_or_broken_is_refused_by_name(tmp_path: Path) -> None:
    """`budget check` and the server say the same."""
    path = tmp_path / "bad.toml"
    path.write_text(
        'overrides = [{match = {model = "a"}, max_tokens = 1}, {match = {key = "b"}, max_tokens = 2}]',
        encoding="utf-8",
    )
    with pytest.raises(AmbiguousBudget, match=r'"model":"a".*"key":"b"'):
        read(path)
    path.write_text("default = {", encoding="utf-8")
    with pytest.raises(InvalidInput, match=r"bad\.toml: expected a budget in TOML or JSON"):
        read(path)
    with pytest.raises(InvalidInput, match=r"none\.toml"):
        read(tmp_path / "none.toml")
