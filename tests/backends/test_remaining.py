"""What servers say is left, in each of their forms."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symposia.backends.remaining import Remaining, remaining

NOW = 1_750_000_000.0


def test_both_families_of_headers_are_read() -> None:
    """OpenAI's durations, Anthropic's dates."""
    theirs = {
        "x-ratelimit-remaining-requests": "59",
        "x-ratelimit-reset-requests": "1m30.5s",
        "x-ratelimit-remaining-tokens": "149984",
        "x-ratelimit-reset-tokens": "6ms",
    }
    assert remaining(theirs, NOW) == Remaining(
        requests=59, tokens=149_984, requests_reset_s=90.5, tokens_reset_s=0.006
    )
    dated = {
        "anthropic-ratelimit-requests-remaining": "0",
        "anthropic-ratelimit-requests-reset": "2025-06-15T15:06:50Z",
        "anthropic-ratelimit-tokens-remaining": "80000",
    }
    assert remaining(dated, NOW) == Remaining(requests=0, tokens=80_000, requests_reset_s=10.0)
    assert remaining({}, NOW) == Remaining()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("7", 7.0), ("0.25", 0.25), ("1s", 1.0), ("2h3m", 7380.0), ("350ms", 0.35), ("6m0s", 360.0)],
)
def test_resets(text: str, seconds: float) -> None:
    """Seconds bare, or with their units."""
    said = {"x-ratelimit-remaining-tokens": "1", "x-ratelimit-reset-tokens": text}
    assert remaining(said, NOW).tokens_reset_s == seconds


@given(st.text(max_size=12), st.text(max_size=12))
def test_nonsense_is_not_said(left: str, reset: str) -> None:
    """Unreadable headers never raise and never invent a number."""
    said = remaining({"x-ratelimit-remaining-requests": left, "x-ratelimit-reset-requests": reset}, NOW)
    assert said.requests is None or (said.requests >= 0 and left.isdecimal())
    assert said.requests_reset_s is None or said.requests_reset_s >= 0
