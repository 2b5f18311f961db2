"""Self-consistency (Wang et al. 2022, 2203.11171): independent samples, and the answer that most of them give.

How many: a number, as many as the debate's calls pay for, or as many as its tokens do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from .ballot import plurality, ran
from .method import Bench, Ran
from .samples import Sample, Samples

Much = int | Literal["calls", "tokens"]


@dataclass(frozen=True)
class SelfConsistency:
    """Samples worth `much`; at least one. With the run's tools, if it has some, and by their calls."""

    much: Much
    debates: bool = False

    @property
    def budgeted(self) -> bool:
        return not isinstance(self.much, int)

    async def attempt(self, bench: Bench, samples: Samples) -> Ran:
        """The longest prefix of the stream that the budget pays for, and its vote."""
        used, overdraw = await within(self.much, bench, samples)
        return ran(used, plurality(used), overdraw=overdraw)


async def within(much: Much, bench: Bench, samples: Samples) -> tuple[list[Sample], int]:
    """The samples a budget pays for, and how many were drawn to see that it pays for no more."""
    tools = bool(bench.setup.tools)
    if isinstance(much, int):
        return await samples.first(much, tools=tools), 0
    budget = bench.budget
    assert budget is not None, "a budgeted method runs after the debate that sets its budget"
    if much == "calls" and not tools:
        return await samples.first(max(1, budget.calls)), 0
    if much == "calls":
        return await _prefix(samples, budget.calls, _calls, tools=tools)
    return await _prefix(samples, budget.tokens, lambda sample: bench.tokens(sample.usage), tools=tools)


def _calls(sample: Sample) -> int:
    return sample.usage.calls


async def _prefix(
    samples: Samples, most: int, cost: Callable[[Sample], int], *, tools: bool
) -> tuple[list[Sample], int]:
    """One is always used. The draw that goes beyond is left aside; it is known to only once it is made.

    A sample that failed is known to have cost nothing, but counts as one token: no prefix goes on without end.
    """
    used = await samples.first(1, tools=tools)
    spent = cost(used[0])
    while spent < most:
        drawn = await samples.first(len(used) + 1, tools=tools)
        price = cost(drawn[-1])
        if spent + price > most:
            return used, 1
        used = drawn
        spent += max(price, 1)
    return used, 0
