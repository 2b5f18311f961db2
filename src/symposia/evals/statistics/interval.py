"""An interval, and what may be said of a difference because of it: the wording never comes from a p-value."""

from __future__ import annotations

from math import sqrt
from statistics import NormalDist
from typing import Literal

from symposia.core.errors import InvalidInput
from symposia.core.value import Value

Wording = Literal["better", "worse", "not shown"]


class Interval(Value, frozen=True):
    """Both ends inclusive."""

    low: float
    high: float


def wilson(successes: int, n: int, level: float = 0.95) -> Interval:
    """The score interval of a proportion (Wilson 1927). Raises `InvalidInput` of no trials: nothing is known."""
    if not 0 <= successes <= n or n == 0:
        raise InvalidInput(f"expected 0 <= successes <= n and n > 0; got {successes} of {n}")
    z = NormalDist().inv_cdf((1 + level) / 2)
    share, z2 = successes / n, z * z
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = z / (1 + z2 / n) * sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    return Interval(
        0.0 if successes == 0 else max(0.0, middle - half), 1.0 if successes == n else min(1.0, middle + half)
    )


def wording(difference: Interval) -> Wording:
    """`better` where the whole interval is above 0, `worse` where it is below, else `not shown`."""
    if difference.low > 0:
        return "better"
    return "worse" if difference.high < 0 else "not shown"
