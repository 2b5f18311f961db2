"""Headers of budgets: the tightest pool, Go's durations, the soft line."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symposia.serve.budget import Decision, Route
from symposia.serve.headers import budget_headers, duration
from symposia.serve.ledger import Charge, Lease, Standing

ROUTE = Route(model="m")


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0s"),
        (0.25, "250ms"),
        (1, "1s"),
        (1.5, "1.5s"),
        (60, "1m0s"),
        (360, "6m0s"),
        (3600, "1h0m0s"),
        (3725.5, "1h2m5.5s"),
    ],
)
def test_durations_are_written_as_go_writes_them(seconds, shown):
    assert duration(seconds) == shown


@given(st.floats(min_value=0, max_value=1e6))
def test_a_duration_reads_back_never_earlier(seconds):
    shown = duration(seconds)
    units = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
    read = sum(float(number) * units[unit] for number, unit in re.findall(r"([\d.]+)(ms|h|m|s)", shown))
    assert seconds - 1e-6 <= read <= seconds + 0.0011


def decision(*rows: tuple[str, str, int, int, float], maximum: int = 100) -> Decision:
    standings = tuple(
        Standing(pool=pool, field=field, used=used, reserved=0, limit=limit, resets_s=5.0)
        for pool, field, used, limit, _ in rows
    )
    charges = tuple(
        Charge(pool=pool, field=field, amount=1, limit=limit, soft=soft)
        for pool, field, _, limit, soft in rows
    )
    lease = Lease(id="l", charges=charges, admitted_s=0.0, expires_s=1.0)
    return Decision(decision="allowed", route=ROUTE, maximum=maximum, lease=lease, standings=standings)


def test_the_tightest_pool_is_told_of():
    told = dict(
        budget_headers(
            decision(
                ("a", "tokens", 10, 100, 0.8), ("b", "tokens", 60, 100, 0.8), ("c", "requests", 1, 9, 0.8)
            ),
            100,
        )
    )
    assert told[b"x-ratelimit-remaining-tokens"] == b"40"
    assert told[b"x-ratelimit-limit-requests"] == b"9"
    assert told[b"x-ratelimit-reset-tokens"] == b"5s"
    assert b"x-steering-budget-warning" not in told


def test_past_the_soft_line_there_is_a_warning_and_what_was_shrunk_is_said():
    told = dict(budget_headers(decision(("a", "tokens", 80, 100, 0.8), maximum=16), 100))
    assert told[b"x-steering-budget-warning"] == b"a; tokens=80/100"
    assert told[b"x-steering-max-tokens"] == b"16"


def test_without_pools_there_is_nothing_to_say():
    assert budget_headers(None, 100) == []
    assert budget_headers(decision(), 100) == []
