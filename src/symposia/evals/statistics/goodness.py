"""Whether counts fit what was expected of them: Pearson's chi-square and its tail."""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, lgamma, log

from symposia.core.errors import InvalidInput
from symposia.core.value import Count, Value

_ENOUGH = 1e-15
_TERMS = 10_000


class ChiSquare(Value, frozen=True, kw_only=True):
    """The statistic, its degrees of freedom, and the chance of one as large."""

    statistic: float
    freedom: Count
    p: float


def chi_square(observed: Sequence[float], expected: Sequence[float]) -> ChiSquare:
    """Pearson's test of counts against expected counts of the same total, all above 0."""
    if len(observed) != len(expected) or len(observed) < 2:
        raise InvalidInput(
            f"expected two counts or more and as many expectations; got {len(observed)} and {len(expected)}"
        )
    if min(expected) <= 0 or abs(sum(observed) - sum(expected)) > 1e-6 * sum(expected):
        raise InvalidInput(
            f"expectations must be above 0 and add up to {sum(observed):g}; got {', '.join(map(str, expected))}"
        )
    statistic = sum((o - e) ** 2 / e for o, e in zip(observed, expected, strict=True))
    freedom = len(observed) - 1
    return ChiSquare(statistic=statistic, freedom=freedom, p=upper_gamma(freedom / 2, statistic / 2))


def upper_gamma(a: float, x: float) -> float:
    """The regularised upper incomplete gamma function Q(a, x), by series or continued fraction (DLMF 8.7, 8.9)."""
    if x <= 0:
        return 1.0
    front = exp(a * log(x) - x - lgamma(a))
    return 1 - front * _series(a, x) if x < a + 1 else front * _fraction(a, x)


def _series(a: float, x: float) -> float:
    term = total = 1 / a
    for n in range(1, _TERMS):
        term *= x / (a + n)
        total += term
        if term < total * _ENOUGH:
            break
    return total


def _fraction(a: float, x: float) -> float:
    """Lentz's evaluation of the continued fraction of Γ(a, x) e^x x^-a."""
    b = x + 1 - a
    c, d = 1e300, 1 / b
    value = d
    for n in range(1, _TERMS):
        step = -n * (n - a)
        b += 2
        d = 1 / (step * d + b)
        c = b + step / c
        value *= c * d
        if abs(c * d - 1) < _ENOUGH:
            break
    return value
