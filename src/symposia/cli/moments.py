"""Times and durations as people write and read them."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from symposia.core.errors import InvalidInput

_DURATION = re.compile(r"(\d+(?:\.\d+)?)([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def duration(text: str, what: str) -> float:
    """Seconds: `90s`, `5m`, `1h`, `90d`, `2w`."""
    found = _DURATION.fullmatch(text)
    if not found:
        raise InvalidInput(f"{what} {text!r}: expected a number and one of s m h d w, as in 90d")
    return float(found[1]) * _SECONDS[found[2]]


def moment(seconds: float | None) -> str:
    """Seconds since the epoch as UTC; "-" if there are none."""
    if seconds is None:
        return "-"
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
