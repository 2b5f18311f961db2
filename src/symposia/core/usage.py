"""What a generation cost, additive, with unknown costs kept unknown.

Money is decimal: a float stands for the shortest decimal that reads back as it, so prices, costs and their sums are
exact to fifteen digits, and JSON shows them as they were written.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from msgspec import Meta

from .value import Count, Value

NonNegative = Annotated[float, Meta(ge=0)]


class Usage(Value, frozen=True, kw_only=True):
    """Tokens and money. `input_tokens` includes cached ones, `output_tokens` includes reasoning.

    One unknown cost makes the sum unknown: an unpriced call is never counted as free.
    """

    input_tokens: Count = 0
    output_tokens: Count = 0
    cached_tokens: Count = 0
    cache_write_tokens: Count = 0
    reasoning_tokens: Count = 0
    calls: Count = 1
    attempts: Count = 1
    estimated: bool = False
    cost_usd: NonNegative | None = None

    def __add__(self, other: Usage) -> Usage:
        if self is NOTHING:
            return other
        known = self.cost_usd is not None and other.cost_usd is not None
        return Usage(
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cached_tokens=self.cached_tokens + other.cached_tokens,
            cache_write_tokens=self.cache_write_tokens + other.cache_write_tokens,
            reasoning_tokens=self.reasoning_tokens + other.reasoning_tokens,
            calls=self.calls + other.calls,
            attempts=self.attempts + other.attempts,
            estimated=self.estimated or other.estimated,
            cost_usd=float(decimal(self.cost_usd or 0.0) + decimal(other.cost_usd or 0.0)) if known else None,
        )


class Price(Value, frozen=True, kw_only=True):
    """USD per million tokens. What is not said of cached tokens and cache writes costs as input does."""

    input: NonNegative
    output: NonNegative
    cached: NonNegative | None = None
    cache_write: NonNegative | None = None

    def of(self, used: Usage) -> float:
        """USD for what was used."""
        base = decimal(self.input)
        cached = base if self.cached is None else decimal(self.cached)
        written = base if self.cache_write is None else decimal(self.cache_write)
        fresh = used.input_tokens - used.cached_tokens - used.cache_write_tokens
        asked = fresh * base + used.cached_tokens * cached + used.cache_write_tokens * written
        return float((asked + used.output_tokens * decimal(self.output)) / 1_000_000)


def decimal(usd: float) -> Decimal:
    """The decimal a float of money stands for."""
    return Decimal(repr(usd))


NOTHING = Usage(calls=0, attempts=0, cost_usd=0.0)
