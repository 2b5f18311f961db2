"""What people and programs tell the store to keep: words that every database holds, times that are numbers."""

from __future__ import annotations

import math

from symposia.core.errors import InvalidInput

LONGEST = 10_000
"""Characters of a reason, a note, an address of evidence."""


def words(text: str, what: str, *, needed: bool = False, longest: int = LONGEST) -> str:
    """The text, if it can be kept; `needed`: and is not blank."""
    if needed and not text.strip():
        raise InvalidInput(f"{what}: expected some words; got none")
    if len(text) > longest:
        raise InvalidInput(f"{what}: expected at most {longest} characters; got {len(text)}")
    if "\0" in text or any("\ud800" <= c <= "\udfff" for c in text):
        raise InvalidInput(f"{what}: expected text without NUL and lone surrogates; got {text!r}")
    return text


def finite(seconds: float, what: str) -> float:
    """The time, if it is one."""
    if not math.isfinite(seconds):
        raise InvalidInput(f"{what}: expected seconds since the epoch; got {seconds}")
    return float(seconds)
