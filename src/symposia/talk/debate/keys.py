"""When two answers are the same: a key for each, by the kind of answer a question has. No model is asked."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache

from .values import Kind

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
LONGEST = 200
_SPACES = "[ \u00a0\u2009\u202f]"
_GROUPED = re.compile(rf"(?<![\d.])\d{{1,3}}(?:(?:,|\{{,\}}|\\,|{_SPACES})\d{{3}})+(?!\d)")
_FRACTION = re.compile(r"([+-]?)\\[dt]?frac\{([+-]?\d+)\}\{([+-]?\d+)\}")
_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,3})?")
_RATIO = re.compile(r"([+-]?\d+)\s*/\s*(\d+)")
_LETTER = re.compile(r"\(?([A-Za-z])\)?\.?")
_WRAPPED = (
    re.compile(r"\$\$(.+)\$\$"),
    re.compile(r"\$(.+)\$"),
    re.compile(r"\\\((.+)\\\)"),
    re.compile(r"\\boxed\{(.+)\}"),
)
_CURRENCY = "$€£¥₹"
_MEANT = "-%"  # they change what a number says


def answer_key(text: str, kind: Kind = "auto", options: Sequence[str] = ()) -> str | None:
    """`number:3/4`, `choice:B` or `text:...`; None where the text is not of the kind that was asked for.

    `auto` takes the first kind that fits. `options` are the answers a question allows, in order; their letters name
    them.
    """
    match kind:
        case "number":
            return _number_key(text)
        case "choice":
            return _choice_key(text, options)
        case "text":
            return f"text:{folded(text)}"
        case "auto":
            return _number_key(text) or _choice_key(text, options) or f"text:{folded(text)}"


@lru_cache(maxsize=4096)
def group_key(text: str, kind: Kind = "auto", options: tuple[str, ...] = ()) -> str:
    """The key by which answers are grouped: that of the kind, or of the text where it does not fit."""
    return answer_key(text, kind, options) or f"text:{folded(text)}"


def number(text: str) -> tuple[Fraction, bool] | None:
    """The one number a text is, and whether it is a percentage; None if it is not just a number."""
    if len(text) > LONGEST:
        return None
    bare = _unwrapped(unicodedata.normalize("NFKC", text.strip()).replace("\u2212", "-"))
    bare = bare.replace("\\$", "$").replace("\\%", "%")
    percent = bare.endswith("%")
    bare = bare.rstrip("%").strip() if percent else bare
    sign = "-" if bare.startswith("-") else ""
    bare = sign + bare.removeprefix("-").strip().strip(_CURRENCY).strip() if _priced(bare) else bare
    bare = _GROUPED.sub(lambda found: re.sub(r"\D", "", found[0]), bare)
    value = _value(bare)
    return None if value is None else (value, percent)


def folded(text: str) -> str:
    """Text as it is compared: NFKC, case folded, spaces collapsed, punctuation around it removed."""
    words = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    start, stop = 0, len(words)
    while start < stop and _outer(words[start]):
        start += 1
    while stop > start and _outer(words[stop - 1]):
        stop -= 1
    return words[start:stop] or words


def _number_key(text: str) -> str | None:
    found = number(text)
    return None if found is None else f"number:{found[0]}{'%' if found[1] else ''}"


def _choice_key(text: str, options: Sequence[str]) -> str | None:
    allowed = LETTERS[: len(options)] if options else LETTERS
    stripped = _unwrapped(text.strip())
    if found := _LETTER.fullmatch(stripped):
        letter = found[1].upper()
        return f"choice:{letter}" if letter in allowed else None
    for letter, option in zip(LETTERS, options, strict=False):
        if stripped == option:
            return f"choice:{letter}"
    return None


def _unwrapped(text: str) -> str:
    """Without dollars, brackets or a box around all of it, and without a full stop at its end."""
    while True:
        inner = text.strip()
        if inner.endswith(".") and not inner.endswith(".."):
            inner = inner[:-1].rstrip()
        for wrapping in _WRAPPED:
            if found := wrapping.fullmatch(inner):
                inner = found[1]
        if inner == text:
            return text
        text = inner


def _priced(text: str) -> bool:
    bare = text.removeprefix("-").strip()
    return bool(bare) and (bare[0] in _CURRENCY or bare[-1] in _CURRENCY)


def _value(text: str) -> Fraction | None:
    if found := _FRACTION.fullmatch(text):
        sign, above, below = found.groups()
        return None if not int(below) else Fraction(int(above), int(below)) * (-1 if sign == "-" else 1)
    if found := _RATIO.fullmatch(text):
        return Fraction(int(found[1]), int(found[2])) if int(found[2]) else None
    return Fraction(text) if _NUMBER.fullmatch(text) else None


def _outer(character: str) -> bool:
    return character not in _MEANT and unicodedata.category(character)[0] in "PZ"
