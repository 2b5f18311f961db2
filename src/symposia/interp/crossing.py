"""Where a rising function of a positive size crosses a target: the search alone; its caller does the measuring.

Sizes and values are taken by their logarithms. From the start the size is doubled or halved until the target lies
between two measured sizes; then the Illinois form of the false position (Dowell and Jarratt 1971) closes in, and
halving where a function that jumps leaves it slow.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass

from symposia.core.errors import SymposiaError

STEPS = 12
"""Most measurements to find a bracket, and most to close it."""

_CLOSE = math.log(1.02)
_ILLINOIS = 6  # steps; as many halvings again close any bracket of a factor 2
_FLOOR = 1e-12
Point = tuple[float, float]


@dataclass(frozen=True)
class Crossed:
    """The size found, and every (size, value) measured on the way, in order."""

    size: float
    points: tuple[Point, ...]


class NoCrossing(SymposiaError):
    """The target was not bracketed; `points` are what was measured."""

    def __init__(self, message: str, points: tuple[Point, ...]) -> None:
        told = ", ".join(f"{value:.4g} at {size:.4g}" for size, value in points)
        super().__init__(f"{message}; measured {told}")
        self.points = points


@dataclass(frozen=True)
class _End:
    """A measured size: `x` its logarithm, `y` the logarithm of value / target."""

    x: float
    y: float


def crossing(target: float, start: float) -> Generator[float, float, Crossed]:
    """Yields sizes to measure, is sent their values, returns the size whose value is the target.

    The value is within 2 % of the target; where the function jumps past it, the size is below the jump, by 2 % at most.
    Raises `NoCrossing` if 12 doublings or halvings do not bracket the target, or a value is not finite.
    """
    points: list[Point] = []

    def measured(x: float, value: float) -> _End:
        points.append((math.exp(x), value))
        if not math.isfinite(value):
            raise NoCrossing(f"expected finite values; got {value}", tuple(points))
        return _End(x, math.log(max(value, _FLOOR) / target))

    x = math.log(start)
    low = high = measured(x, (yield math.exp(x)))
    step = math.log(2) if low.y < 0 else -math.log(2)
    while low.y > 0 or high.y < 0:
        if len(points) > STEPS:
            raise NoCrossing(f"{STEPS} steps of a factor 2 do not bracket {target:g}", tuple(points))
        x += step
        new = measured(x, (yield math.exp(x)))
        low, high = (high, new) if step > 0 else (new, low)
    weight = 0.0
    for taken in range(STEPS):
        if found := next((end for end in (low, high) if abs(end.y) <= _CLOSE), None):
            return Crossed(math.exp(found.x), tuple(points))
        if high.x - low.x <= _CLOSE:
            break
        x = _between(low, high, weight) if taken < _ILLINOIS else (low.x + high.x) / 2
        new = measured(x, (yield math.exp(x)))
        # an end that stays twice running counts half as much
        if new.y < 0:
            low, weight = new, min(weight, 0.0) - 1
        else:
            high, weight = new, max(weight, 0.0) + 1
    return Crossed(math.exp(low.x), tuple(points))


def _between(low: _End, high: _End, weight: float) -> float:
    """Where the line between the ends is zero. `weight` n > 0: the low end has stayed n times; n < 0: the high one."""
    y_low = low.y / 2 ** max(weight - 1, 0)
    y_high = high.y / 2 ** max(-weight - 1, 0)
    return (low.x * y_high - high.x * y_low) / (y_high - y_low)
