"""Rank correlation: whether two quantities rise together, whatever their scale."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

from symposia.core.errors import InvalidInput


def ranks(values: Sequence[float]) -> list[float]:
    """The rank of each value from 1 up; equal values share the mean of their places."""
    order = sorted(range(len(values)), key=lambda i: values[i])
    found = [0.0] * len(values)
    start = 0
    while start < len(order):
        stop = start
        while stop < len(order) and values[order[stop]] == values[order[start]]:
            stop += 1
        for i in order[start:stop]:
            found[i] = (start + 1 + stop) / 2
        start = stop
    return found


def spearman(xs: Sequence[float], ys: Sequence[float]) -> float | None:
    """Spearman's correlation of paired values, ties by mean rank; None where one side never varies."""
    if len(xs) != len(ys):
        raise InvalidInput(f"expected pairs; got {len(xs)} and {len(ys)} values")
    if not xs:
        return None
    return _pearson(ranks(xs), ranks(ys))


def _pearson(xs: Sequence[float], ys: Sequence[float]) -> float | None:
    x0, y0 = sum(xs) / len(xs), sum(ys) / len(ys)
    spread = sqrt(sum((x - x0) ** 2 for x in xs) * sum((y - y0) ** 2 for y in ys))
    if spread == 0:
        return None
    return sum((x - x0) * (y - y0) for x, y in zip(xs, ys, strict=True)) / spread
