"""What a number, a text or a list must keep to, in words and as a test."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from msgspec import inspect


class Bound(NamedTuple):
    """One limit: how it is said, and whether a value of the right type keeps to it."""

    said: str
    holds: Callable[[Any], bool]


class Scalar(NamedTuple):
    """A JSON type that holds nothing else."""

    name: str
    fits: Callable[[Any], bool]


_SCALARS: dict[type[inspect.Type], Scalar] = {
    inspect.NoneType: Scalar("null", lambda value: value is None),
    inspect.BoolType: Scalar("true or false", lambda value: isinstance(value, bool)),
    inspect.StrType: Scalar("a string", lambda value: isinstance(value, str)),
    inspect.IntType: Scalar(
        "a whole number", lambda value: isinstance(value, int) and not isinstance(value, bool)
    ),
    inspect.FloatType: Scalar(
        "a number",
        lambda value: isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value),
    ),
}


_OTHER = Scalar("another value", lambda _: True)


def scalar_of(kind: inspect.Type) -> Scalar:
    """The JSON type of a scalar; of one that has no type of its own in JSON, such as a date, nothing is known."""
    return _SCALARS.get(type(kind), _OTHER)


def bounds_of(kind: inspect.Type) -> list[Bound]:
    """The limits of a scalar."""
    match kind:
        case inspect.IntType() | inspect.FloatType():
            return _numbers(kind)
        case inspect.StrType():
            found = lengths(kind.min_length, kind.max_length, "characters")
            if (pattern := kind.pattern) is not None:
                found.append(Bound(f"like {pattern}", lambda value: re.search(pattern, value) is not None))
            return found
    return []


def lengths(low: int | None, high: int | None, what: str) -> list[Bound]:
    """The limits of a length."""
    found: list[Bound] = []
    if low is not None:
        found.append(Bound(f"of at least {low} {what}", lambda value: len(value) >= low))
    if high is not None:
        found.append(Bound(f"of at most {high} {what}", lambda value: len(value) <= high))
    return found


def _numbers(kind: inspect.IntType | inspect.FloatType) -> list[Bound]:
    low, over, high, under = kind.ge, kind.gt, kind.le, kind.lt
    found: list[Bound] = []
    if low is not None:
        found.append(Bound(f">= {low}", lambda value: value >= low))
    if over is not None:
        found.append(Bound(f"> {over}", lambda value: value > over))
    if high is not None:
        found.append(Bound(f"<= {high}", lambda value: value <= high))
    if under is not None:
        found.append(Bound(f"< {under}", lambda value: value < under))
    return found
