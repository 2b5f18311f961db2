"""What a failed attempt means: status, headers and error body to a cause, whether to repeat, and how long to wait.

Pure; the clock's time is passed in. Statuses and codes as in the OpenAI and Anthropic references; `retry-after` as in
RFC 9110, section 10.2.3.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from symposia.core.errors import BackendError, Cause
from symposia.core.value import Value

RETRIED: frozenset[Cause] = frozenset({"connection", "timeout", "server_error", "rate_limited"})
"""Causes that another attempt may cure; the caller of a cut or unreadable stream repeats it whole, once."""

_QUOTA = re.compile(r"quota|billing|spend|credit|usage_limit|usage_exceeded|insufficient_(?:funds|balance)")
_RATE = re.compile(r"rate_limit|slow_down|too_many_requests|overload")
_OVERFLOW = re.compile(r"context_length|context_window|prompt_too_long")
_OVERFLOW_TEXT = re.compile(
    r"maximum context length|prompt is too long|context window|exceeds? the (?:available )?context"
)
_FILTER = re.compile(r"content_filter|content_policy|responsibleai")
_LIMIT = re.compile(r"(?:maximum context length is|> ?|context (?:window|size) of|\bn_ctx ?=) ?(\d[\d,]*)")
_BY_CODE: tuple[tuple[re.Pattern[str], Cause], ...] = (
    (_QUOTA, "quota_exhausted"),
    (_RATE, "rate_limited"),
    (_OVERFLOW, "context_overflow"),
    (_FILTER, "content_filter"),
    (re.compile(r"authentication|permission|invalid_api_key"), "auth"),
    (re.compile(r"not_found"), "not_found"),
    (re.compile(r"invalid_request|too_large|unsupported"), "invalid_request"),
    (re.compile(r"timeout"), "timeout"),
)


class Failure(Value, frozen=True, kw_only=True):
    """Why an attempt ended without a completion. `wait_s` is what the server asked for; None: nothing.

    `code` and `kind` are the error object's code (its type, if it has none) and type. `limit` is the context window a
    `context_overflow` states, in tokens.
    """

    cause: Cause
    retried: bool
    wait_s: float | None = None
    status: int | None = None
    code: str = ""
    kind: str = ""
    limit: int | None = None

    def error(self, message: str, *, request_id: str = "") -> AttemptFailed:
        """The failure to raise from an attempt. `message` is redacted by `attempts`."""
        return AttemptFailed(self, message, request_id=request_id)


class AttemptFailed(BackendError):
    """One attempt failed, classified."""

    def __init__(self, failure: Failure, message: str, *, request_id: str = "") -> None:
        super().__init__(
            message,
            cause=failure.cause,
            status=failure.status,
            code=failure.code,
            kind=failure.kind,
            retry_after_s=failure.wait_s,
            request_id=request_id,
        )
        self.failure = failure


def lost(cause: Cause) -> Failure:
    """The failure of an attempt that got no reply to classify: `connection`, `timeout`, `stream_truncated`, others."""
    return Failure(cause=cause, retried=cause in RETRIED)


def classify(
    status: int | None,
    headers: Mapping[str, str],
    *,
    code: str = "",
    kind: str = "",
    message: str = "",
    now: float,
) -> Failure:
    """What an error reply means, or an error object inside a stream (`status` None).

    `headers` have lower-case names, or are a case-insensitive mapping. `code` and `kind` are the error object's `code`
    and `type`, "" if absent. `message` is read only where a protocol has no code: a prompt too long for the window, an
    overloaded server. `now` is seconds since the epoch, for a `retry-after` that is a date.
    """
    if status is None and code.isdecimal():
        status, code = int(code), ""
    cause = _cause(status, f"{code} {kind}".lower().replace("-", "_"), message.lower())
    should = headers.get("x-should-retry", "").strip().lower()
    stated = _LIMIT.search(message.lower()) if cause == "context_overflow" else None
    return Failure(
        cause=cause,
        retried={"true": True, "false": False}.get(should, cause in RETRIED),
        wait_s=asked_wait_s(headers, now),
        status=status,
        code=code or kind,
        kind=kind,
        limit=int(stated[1].replace(",", "")) if stated else None,
    )


def asked_wait_s(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds the server asks to wait: `retry-after-ms`, else `retry-after` as seconds or date; None: nothing read."""
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000.0
    after = headers.get("retry-after")
    seconds = _number(after)
    if seconds is not None or after is None:
        return seconds
    try:
        date = parsedate_to_datetime(after)
    except ValueError:
        return None
    return max(0.0, (date if date.tzinfo else date.replace(tzinfo=dt.UTC)).timestamp() - now)


def _number(text: str | None) -> float | None:
    """A finite number from zero up, or None."""
    try:
        value = float(text) if text is not None else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None


def _cause(status: int | None, codes: str, message: str) -> Cause:
    match status:
        case None:
            return next((cause for words, cause in _BY_CODE if words.search(codes)), "server_error")
        case 429:
            return "quota_exhausted" if _QUOTA.search(codes) and not _RATE.search(codes) else "rate_limited"
        case 529:
            return "rate_limited"
        case 503:
            return "rate_limited" if _RATE.search(codes) or "overload" in message else "server_error"
        case 408 | 409:
            return "server_error"
        case 401 | 403:
            return "auth"
        case 402:
            return "quota_exhausted"
        case 404:
            return "not_found"
    if 500 <= status < 600:
        return "server_error"
    if not 400 <= status < 500:
        return "bad_response"
    if _OVERFLOW.search(codes) or _OVERFLOW_TEXT.search(message):
        return "context_overflow"
    return "content_filter" if _FILTER.search(codes) else "invalid_request"
