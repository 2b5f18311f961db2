"""The percentile bootstrap of a mean over items (Efron 1979), fast without numpy.

What an item scored takes few values, so a resample is a draw of how often each value came: a multinomial, drawn value
by value as conditional binomials from tables. Drawing items one by one gives the same distribution, a thousand times
slower, and is what happens where values are many.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import cache, lru_cache
from itertools import accumulate
from math import exp, floor, lgamma, log
from random import Random

from symposia.core.errors import InvalidInput

from .interval import Interval

DRAWS = 10_000
Counts = tuple[tuple[float, int], ...]
_FEW = 64
"""With at most so many distinct values a resample is drawn by value."""


def bootstrap(
    values: Sequence[float], seed: int | str, *, draws: int = DRAWS, level: float = 0.95
) -> Interval:
    """The percentile interval of the mean of `values`, one an item; the same seed gives the same interval.

    Items are resampled, so for a paired difference give each item's own difference. Raises `InvalidInput` of no items.
    """
    if not values:
        raise InvalidInput("a bootstrap needs at least one item; got none")
    counts = tuple(sorted(Counter(values).items()))
    if len(counts) <= _FEW:
        return _by_value(counts, seed, draws, level)
    random, n = Random(seed), len(values)
    return _percentiles((sum(random.choices(values, k=n)) for _ in range(draws)), n, level)


@lru_cache(maxsize=256)
def _by_value(counts: Counts, seed: int | str, draws: int, level: float) -> Interval:
    """The interval, computed once: graded and strict results are often the same, and so are one task and all."""
    n = sum(count for _, count in counts)
    return _percentiles(_totals_by_value(counts, n, Random(seed), draws), n, level)


def _percentiles(totals: Iterable[float], n: int, level: float) -> Interval:
    means = sorted(total / n for total in totals)
    return Interval(quantile(means, (1 - level) / 2), quantile(means, (1 + level) / 2))


def quantile(ordered: Sequence[float], at: float) -> float:
    """The quantile of sorted values, linear between neighbours (Hyndman and Fan's type 7)."""
    place = at * (len(ordered) - 1)
    below = floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def _totals_by_value(
    counts: Sequence[tuple[float, int]], n: int, random: Random, draws: int
) -> Iterator[float]:
    """Sums of resamples: how often each value comes, given how many places the values before it left."""
    behind = [*accumulate(count for _, count in reversed(counts))][::-1]
    shares = [count / rest for (_, count), rest in zip(counts, behind, strict=True)]
    tables = [cache(lambda places, share=share: _binomial(places, share)) for share in shares[:-1]]
    for _ in range(draws):
        left, total = n, 0.0
        for (value, _), table in zip(counts, tables, strict=False):
            drawn = bisect_left(table(left), random.random())
            total += drawn * value
            left -= drawn
        yield total + left * counts[-1][0]


def _binomial(n: int, share: float) -> list[float]:
    """The distribution function of a binomial at 0..n-1: a uniform number's place in it is a draw."""
    if n == 0:
        return []
    yes, no, whole = log(share), log(1 - share), lgamma(n + 1)
    return [
        *accumulate(exp(whole - lgamma(k + 1) - lgamma(n - k + 1) + k * yes + (n - k) * no) for k in range(n))
    ]
