"""Words that stand for content while a template is asked what it does: unlikely, lower case, without meaning."""

from __future__ import annotations

import random
from functools import cache

_LETTERS = "bcdfghjklmnpqrstvwxz"  # consonants: no word, no tag, no abbreviation with a vowel


@cache
def word(index: int) -> str:
    """The sentinel of a slot: 12 letters, the same in every process."""
    return _draw(index, 12)


@cache
def short_word(index: int) -> str:
    """A sentinel that is a valid call id under every rule known: 9 letters."""
    return _draw(1_000_000 + index, 9)


@cache
def number(index: int) -> int:
    """A sentinel for a number: 9 digits, no two alike."""
    return 100_000_000 + (index * 7_919_417 + 53_617_213) % 899_999_981


def fraction(index: int) -> float:
    """A sentinel for a number that is not whole; its text is `repr` of it."""
    return number(index) + 0.5


def _draw(seed: int, letters: int) -> str:
    return "".join(random.Random(seed).choices(_LETTERS, k=letters))
