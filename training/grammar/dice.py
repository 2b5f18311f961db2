"""A seeded source of choices that adds up what they cost: -log P of the derivation, in nats."""

import math
import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Dice:
    """Same seed, same calls: same choices, on every platform. `nats` is -log P of all choices made so far."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self.nats = 0.0

    def pick(self, options: Sequence[T]) -> T:
        """One of `options`, all equally likely. An empty sequence is an IndexError."""
        self.nats += math.log(len(options)) if options else 0.0
        return options[int(self._random.random() * len(options))]

    def weighted(self, options: Sequence[tuple[T, float]]) -> T:
        """One of the first entries, with probability proportional to the second."""
        total = sum(weight for _, weight in options)
        mark = self._random.random() * total
        for value, weight in options:
            mark -= weight
            if mark < 0:
                self.nats -= math.log(weight / total)
                return value
        raise ValueError(f"weights must be positive and finite, got {options!r}")

    def chance(self, probability: float) -> bool:
        """True with this probability, which lies strictly between 0 and 1."""
        return self.weighted(((True, probability), (False, 1.0 - probability)))

    def between(self, low: int, high: int) -> int:
        """An integer in [low, high], both ends included."""
        return self.pick(range(low, high + 1))

    def sample(self, options: Sequence[T], count: int) -> list[T]:
        """`count` different entries, in random order."""
        left = list(options)
        drawn = []
        for _ in range(count):
            value = self.pick(left)
            left.remove(value)
            drawn.append(value)
        return drawn
