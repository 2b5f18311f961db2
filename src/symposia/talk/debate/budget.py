"""What a debate may still use, and what its next step could use at worst. Pure.

Tokens count prompts and replies, cached or not. A step that might exceed a limit is not begun.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta

from symposia.core.errors import InvalidInput
from symposia.core.lines import Line
from symposia.core.message import Message
from symposia.core.profile import Profile
from symposia.core.usage import Price, Usage, decimal
from symposia.core.value import Count, Value

from .reading import mark_of
from .values import Positive

if TYPE_CHECKING:
    from .protocol import Debate

BYTES_PER_TOKEN, TOKENS_PER_LINE = 3, 8


class Budget(Value, frozen=True, kw_only=True):
    """Limits on a whole debate; None is no limit. `prices` in USD per million tokens, by model, bound `max_cost`."""

    max_calls: Positive | None = None
    max_tokens: Positive | None = None
    max_cost: Annotated[float, Meta(gt=0)] | None = None
    prices: Mapping[str, Price] = {}

    @property
    def unlimited(self) -> bool:
        """Whether nothing is limited."""
        return self.max_calls is None and self.max_tokens is None and self.max_cost is None

    def check(self, profiles: Iterable[Profile]) -> None:
        """Refuse a cost limit over models without a price: they would count as free."""
        unpriced = {p.model for p in profiles} - set(self.prices)
        if self.max_cost is not None and unpriced:
            raise InvalidInput(
                f"--max-cost needs a price for {', '.join(sorted(unpriced))}; name it in --prices"
            )


class Spent(Value, frozen=True, kw_only=True):
    """Calls, tokens and USD, used or possible."""

    calls: Count = 0
    tokens: Count = 0
    cost: float = 0.0

    def __add__(self, other: Spent) -> Spent:
        return Spent(
            calls=self.calls + other.calls,
            tokens=self.tokens + other.tokens,
            cost=float(decimal(self.cost) + decimal(other.cost)),
        )

    def times(self, n: int) -> Spent:
        """So many of it."""
        return Spent(calls=self.calls * n, tokens=self.tokens * n, cost=self.cost * n)


def spent(messages: Sequence[Message], debate: Debate) -> Spent:
    """What the transcript says was used. A call that failed counts as a call; what it used nobody said."""
    total = Spent()
    for message in messages:
        made, found = message.provenance, mark_of(message)
        if made is not None:
            price = debate.budget.prices.get(debate.profile_of(message.author).model)
            used = made.usage
            cost = used.cost_usd
            if cost is None:
                cost = 0.0 if price is None else price.of(used)
            total += Spent(calls=used.calls, tokens=used.input_tokens + used.output_tokens, cost=cost)
        elif found is not None and message.is_control:
            total += Spent(calls=1)
    return total


def worst(
    lines: Sequence[Line], profile: Profile, debate: Debate, *, unseen: int = 0, calls: int = 1
) -> Spent:
    """The most one turn of these lines can use; `unseen` tokens of others come into its prompt before it is made."""
    size = sum(len(s.text.encode()) for line in lines for s in line.segments)
    prompt = -(-size // BYTES_PER_TOKEN) + TOKENS_PER_LINE * len(lines) + unseen
    reply = profile.sampling.max_tokens
    price = debate.budget.prices.get(profile.model)
    cost = 0.0
    if price is not None:  # the whole prompt may be written to a cache, which may cost more than reading it
        most = max(price.input, price.cache_write or 0.0)
        cost = Price(input=most, output=price.output).of(Usage(input_tokens=prompt, output_tokens=reply))
    return Spent(calls=1, tokens=prompt + reply, cost=cost).times(calls)


def allows(budget: Budget, used: Spent, next_step: Spent) -> bool:
    """Whether the step stays within every limit, whatever it comes to."""
    after = used + next_step
    return (
        (budget.max_calls is None or after.calls <= budget.max_calls)
        and (budget.max_tokens is None or after.tokens <= budget.max_tokens)
        and (budget.max_cost is None or after.cost <= budget.max_cost)
    )
