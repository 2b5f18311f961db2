"""Plans in words."""

from __future__ import annotations

import math

import pytest

from symposia.core.errors import InvalidInput
from symposia.testing.faults import KINDS, Step, parse_plan


def test_the_specifications_plan() -> None:
    """Three steps in order, a header on the first."""
    assert parse_plan("429:retry-after-ms=50,500,200") == (
        Step(kind="status", status=429, headers=(("retry-after-ms", "50"),)),
        Step(kind="status", status=500),
        Step(kind="answer"),
    )


@pytest.mark.parametrize("name", KINDS)
def test_every_step_that_is_explained_is_understood(name: str) -> None:
    """The list people are shown is the list that is read."""
    assert len(parse_plan(name.replace("NNN", "418"))) == 1


def test_options_and_repeats() -> None:
    """Options in any order, a step several times; slow means never unless told."""
    assert parse_plan("eof:after=5*2, 529") == (
        Step(kind="eof", after=5),
        Step(kind="eof", after=5),
        Step(kind="status", status=529),
    )
    assert parse_plan("slow")[0].first_ms == math.inf
    assert parse_plan("slow:between-ms=3")[0] == Step(kind="slow", between_ms=3.0)
    assert parse_plan("429:type=insufficient_quota:x-should-retry=false:retry-after-date=3")[0] == Step(
        kind="status",
        status=429,
        type="insufficient_quota",
        headers=(("x-should-retry", "false"),),
        retry_after_date_s=3.0,
    )


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        ("", "expected NAME"),
        ("sl0w!", "expected NAME"),
        ("slwo", "did you mean 'slow'"),
        ("eof:after=soon", "expected a number"),
        ("eof:befor=2", "unknown option"),
        ("eof:after", "unknown option"),
        ("200,connect-refused", "only step"),
        ("answer", "unknown step"),
    ],
)
def test_what_is_no_plan_is_told(plan: str, words: str) -> None:
    """The word that is not understood, and what would be."""
    with pytest.raises(InvalidInput, match=words):
        parse_plan(plan)
