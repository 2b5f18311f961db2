"""Two methods on the same items: who fixed what the other broke, and whether chance would do as much.

Both tests are exact under one null: which of two results of an item is whose was a coin's decision. McNemar's is the
case where an item is right or wrong; the sign-flip test takes items' mean results of several repeats.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from math import comb, lcm
from random import Random

from symposia.core.value import Count, Value

FLIPS = 10_000
MOST_BITS = 20_000_000_000
"""How many bits an exact count touches at most, about a second's work; beyond it flips are drawn."""


class Discordant(Value, frozen=True, kw_only=True):
    """Over `n` items: `fixed` ones are right here and wrong there, `broken` ones the other way round."""

    n: Count
    fixed: Count
    broken: Count


def discordant(pairs: Iterable[tuple[bool, bool]]) -> Discordant:
    """Count pairs of (right here, right there)."""
    results = tuple(pairs)
    return Discordant(
        n=len(results),
        fixed=sum(here and not there for here, there in results),
        broken=sum(there and not here for here, there in results),
    )


def mcnemar(fixed: int, broken: int) -> float:
    """The exact two-sided p of McNemar's test: `min(1, 2 * sum_{k <= min(b, c)} C(b + c, k) / 2^(b + c))`."""
    n = fixed + broken
    tail = sum(comb(n, k) for k in range(min(fixed, broken) + 1))
    return float(min(Fraction(1), Fraction(2 * tail, 2**n)))


def sign_flip(differences: Sequence[Fraction], seed: int | str, *, most_bits: int = MOST_BITS) -> float:
    """The two-sided p of the items' mean difference when every item's sign is a coin's.

    Exact where the differences have small common denominators, as means of repeats do; else from 10,000 seeded draws,
    the observed one counted (Phipson and Smyth 2010).
    """
    scale = lcm(*(d.denominator for d in differences)) if differences else 1
    steps = [int(d * scale) for d in differences if d]
    if not steps:
        return 1.0
    reach = sum(map(abs, steps))
    if (reach + 1) * len(steps) ** 2 <= most_bits:
        return _exact(steps, reach)
    return _drawn(steps, Random(seed))


def _exact(steps: Sequence[int], reach: int) -> float:
    """All signs at once: the coefficients of the product of (1 + x^|d|), side by side in one integer.

    The coefficient of x^e counts the signs whose sum is `reach - 2e`.
    """
    size = len(steps) // 8 + 1  # bytes a coefficient: none exceeds 2^len
    product = 1
    for step in steps:
        product += product << (abs(step) * size * 8)
    lowest = (reach - abs(sum(steps))) // 2 + 1
    raw = product.to_bytes((reach + 1) * size, "little")[: lowest * size]
    tail = sum(int.from_bytes(raw[at : at + size], "little") for at in range(0, len(raw), size))
    return float(min(Fraction(1), Fraction(2 * tail, 2 ** len(steps))))


def _drawn(steps: Sequence[int], random: Random) -> float:
    observed, n = abs(sum(steps)), len(steps)
    extreme = 0
    for _ in range(FLIPS):
        signs = random.getrandbits(n)
        total = sum(step if signs >> i & 1 else -step for i, step in enumerate(steps))
        extreme += abs(total) >= observed
    return (extreme + 1) / (FLIPS + 1)


def holm(ps: Sequence[float]) -> tuple[float, ...]:
    """The p-values adjusted for their number (Holm 1979), in their order: never below a smaller one's."""
    order = sorted(range(len(ps)), key=lambda i: ps[i])
    adjusted, worst = [0.0] * len(ps), 0.0
    for rank, i in enumerate(order):
        worst = max(worst, min(1.0, (len(ps) - rank) * ps[i]))
        adjusted[i] = worst
    return tuple(adjusted)
