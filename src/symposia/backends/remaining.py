"""What a server says is left of its limits: `x-ratelimit-remaining-*` and its resets, or Anthropic's names for them."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping

from symposia.core.value import Value

_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?")


class Remaining(Value, frozen=True, kw_only=True):
    """Requests and tokens left, and seconds until they are full again; None: not said."""

    requests: int | None = None
    tokens: int | None = None
    requests_reset_s: float | None = None
    tokens_reset_s: float | None = None


def remaining(headers: Mapping[str, str], now: float) -> Remaining:
    """Read a reply's headers, with lower-case names; `now` is seconds since the epoch. The unreadable was not said."""

    def one(kind: str) -> tuple[int | None, float | None]:
        left = headers.get(f"x-ratelimit-remaining-{kind}") or headers.get(
            f"anthropic-ratelimit-{kind}-remaining"
        )
        reset = headers.get(f"x-ratelimit-reset-{kind}") or headers.get(f"anthropic-ratelimit-{kind}-reset")
        return (int(left) if left and left.isdecimal() else None), _reset_s(reset or "", now)

    requests, requests_reset_s = one("requests")
    tokens, tokens_reset_s = one("tokens")
    return Remaining(
        requests=requests, tokens=tokens, requests_reset_s=requests_reset_s, tokens_reset_s=tokens_reset_s
    )


def _reset_s(text: str, now: float) -> float | None:
    """`1m30.5s`, `20ms`, `7` (seconds), or a date as in RFC 3339."""
    if not text:
        return None
    if text.replace(".", "", 1).isdecimal():
        return float(text)
    if match := _DURATION.fullmatch(text):
        hours, minutes, seconds, milliseconds = (float(part or 0) for part in match.groups())
        return hours * 3600 + minutes * 60 + seconds + milliseconds / 1000
    try:
        date = dt.datetime.fromisoformat(text)
    except ValueError:
        return None
    return max(0.0, (date if date.tzinfo else date.replace(tzinfo=dt.UTC)).timestamp() - now)
