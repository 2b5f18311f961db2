"""The table of section 9: what a failed attempt means, row by row; and how long a server asks to wait."""

from __future__ import annotations

import datetime as dt
from email.utils import format_datetime
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symposia.backends.causes import RETRIED, asked_wait_s, classify, lost
from symposia.core.errors import Cause, DeterministicCause, TransientCause

NOW = 1_750_000_000.0
TABLE = [
    # status, code, type, message -> cause
    (408, "", "", "", "server_error"),
    (409, "", "", "", "server_error"),
    (500, "", "", "", "server_error"),
    (502, "", "", "", "server_error"),
    (503, "", "", "", "server_error"),
    (503, "", "overloaded_error", "", "rate_limited"),
    (503, "slow_down", "", "", "rate_limited"),
    (503, "", "", "The engine is currently overloaded, please try again later", "rate_limited"),
    (529, "", "overloaded_error", "Overloaded", "rate_limited"),
    (429, "", "", "", "rate_limited"),
    (429, "rate_limit_exceeded", "tokens", "", "rate_limited"),
    (429, "slow_down", "", "", "rate_limited"),
    (429, "", "rate_limit_error", "", "rate_limited"),
    (429, "insufficient_quota", "insufficient_quota", "", "quota_exhausted"),
    (429, "", "insufficient_quota", "You exceeded your current quota", "quota_exhausted"),
    (429, "billing_hard_limit_reached", "", "", "quota_exhausted"),
    (429, "spend_limit_reached", "", "", "quota_exhausted"),
    (429, "monthly_usage_limit", "", "", "quota_exhausted"),
    (429, "credits_exhausted", "", "", "quota_exhausted"),
    (402, "", "", "Payment required", "quota_exhausted"),
    (401, "invalid_api_key", "", "", "auth"),
    (403, "", "permission_error", "", "auth"),
    (404, "model_not_found", "", "", "not_found"),
    (400, "", "invalid_request_error", "", "invalid_request"),
    (413, "", "request_too_large", "", "invalid_request"),
    (422, "", "", "", "invalid_request"),
    (400, "context_length_exceeded", "invalid_request_error", "", "context_overflow"),
    (400, "", "", "This model's maximum context length is 8192 tokens.", "context_overflow"),
    (
        400,
        "",
        "invalid_request_error",
        "prompt is too long: 208310 tokens > 200000 maximum",
        "context_overflow",
    ),
    (400, "content_filter", "", "", "content_filter"),
    (302, "", "", "", "bad_response"),
    # inside a stream there is no status
    (None, "", "overloaded_error", "", "rate_limited"),
    (None, "", "api_error", "", "server_error"),
    (None, "server_error", "server_error", "", "server_error"),
    (None, "rate_limit_exceeded", "", "", "rate_limited"),
    (None, "insufficient_quota", "", "", "quota_exhausted"),
    (None, "", "authentication_error", "", "auth"),
    (None, "", "invalid_request_error", "", "invalid_request"),
    (None, "context_length_exceeded", "invalid_request_error", "", "context_overflow"),
    (None, "502", "", "", "server_error"),
    (None, "429", "", "", "rate_limited"),
    (None, "", "", "", "server_error"),
]


@pytest.mark.parametrize(("status", "code", "kind", "message", "cause"), TABLE)
def test_a_reply_has_the_cause_of_its_row(
    status: int | None, code: str, kind: str, message: str, cause: Cause
) -> None:
    """Status, code, type and, where a protocol has no code, the message decide the cause, and the cause the repeat."""
    failure = classify(status, {}, code=code, kind=kind, message=message, now=NOW)
    assert failure.cause == cause
    assert failure.retried == (cause in RETRIED)
    error = failure.error("words", request_id="r1")
    assert (error.cause, error.request_id, error.failure) == (cause, "r1", failure)


def test_only_transient_causes_are_retried() -> None:
    """Nothing that a repetition cannot cure is asked for again."""
    assert set(get_args(TransientCause)) >= RETRIED
    assert not RETRIED & set(get_args(DeterministicCause))
    assert lost("connection").retried
    assert not lost("stream_truncated").retried


@pytest.mark.parametrize("status", [200, 400, 401, 429, 500])
def test_x_should_retry_overrides_the_table(status: int) -> None:
    """The server's own word on repeating wins over the row; other words are not one."""
    assert classify(status, {"x-should-retry": "true"}, now=NOW).retried
    assert not classify(status, {"x-should-retry": "false"}, now=NOW).retried
    assert classify(status, {"x-should-retry": "maybe"}, now=NOW) == classify(status, {}, now=NOW)


def test_an_overflow_says_the_window_where_the_server_does() -> None:
    """The limit is read from the message, never made up."""
    said = "maximum context length is 8,192 tokens. However, your messages resulted in 9000 tokens"
    assert classify(400, {}, message=f"This model's {said}", now=NOW).limit == 8192
    assert (
        classify(400, {}, message="prompt is too long: 208310 tokens > 200000 maximum", now=NOW).limit
        == 200_000
    )
    assert classify(400, {}, code="context_length_exceeded", now=NOW).limit is None


@given(st.floats(0, 1e6), st.floats(0, 1e6))
def test_milliseconds_win_over_seconds(ms: float, seconds: float) -> None:
    """`retry-after-ms`, then `retry-after`."""
    assert asked_wait_s({"retry-after-ms": str(ms), "retry-after": str(seconds)}, NOW) == ms / 1000.0
    assert asked_wait_s({"retry-after": str(seconds)}, NOW) == seconds


@given(st.integers(-100_000, 100_000))
def test_a_date_counts_from_the_clock_passed_in(ahead: int) -> None:
    """An HTTP date is a wait against the injected time, zero once it has passed."""
    date = format_datetime(dt.datetime.fromtimestamp(NOW + ahead, dt.UTC), usegmt=True)
    assert asked_wait_s({"retry-after": date}, NOW) == max(0, ahead)


@given(st.text())
def test_an_unreadable_wait_is_no_wait(text: str) -> None:
    """Anything at all in the header gives a finite wait from zero up, or none."""
    wait = asked_wait_s({"retry-after": text, "retry-after-ms": text}, NOW)
    assert wait is None or 0 <= wait < float("inf")


@pytest.mark.parametrize("text", ["-1", "nan", "inf", "soon", "", "Wed, 99 Foo 2025 00:00:00 GMT"])
def test_nonsense_asks_for_nothing(text: str) -> None:
    """A wait that is negative, infinite or no time is not waited."""
    assert asked_wait_s({"retry-after": text, "retry-after-ms": text}, NOW) is None
