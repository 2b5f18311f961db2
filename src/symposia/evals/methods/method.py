"""What a method is: a question in, an answer and its cost out. What it may use is a value, the same for all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, Protocol

from symposia.core.profile import Profile
from symposia.core.request import Backend
from symposia.core.toolspec import ToolSpec
from symposia.core.transcript import Transcript
from symposia.core.usage import Usage
from symposia.core.value import Count, Value
from symposia.evals.scorecard.trial import Tried
from symposia.evals.tasks.item import Question
from symposia.talk.debate.protocol import Debate
from symposia.talk.debate.values import Size
from symposia.talk.rules import Kit, Rules
from symposia.talk.seeds import SeedKey

if TYPE_CHECKING:
    from .samples import Samples

Keep = Callable[[str, Debate, Rules, Transcript], None]
"""Hears of every debate that ended: its name, how it was held, what was said."""
Counting = Literal["fresh", "total"]
"""Which tokens a budget counts: those that no cache held, or all."""


class Setup(Value, frozen=True, kw_only=True):
    """What is the same for every method and item. `debate` is the debate held where a method is one.

    `tools` are for the methods that use some, `tool_budget` rounds of calls a reply; the kit runs them.
    """

    profile: Profile
    prompts: Size = "full"
    seed: int = 0
    count: Counting = "fresh"
    tools: tuple[ToolSpec, ...] = ()
    tool_budget: Count = 3
    debate: Debate | None = None


class Budget(Value, frozen=True, kw_only=True):
    """What the debate on the same item used."""

    calls: Count
    tokens: Count


@dataclass(frozen=True, slots=True)
class Ran:
    """What a method made of an item, and the digests of the requests behind it, for looking up their times."""

    tried: Tried
    requests: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Bench:
    """One question, once, and what may be used for it. `repeat` names the random streams, with the setup's seed."""

    setup: Setup
    item: Question
    backend: Backend
    repeat: int = 0
    kit: Kit = field(default_factory=Kit)
    budget: Budget | None = None
    keep: Keep | None = None

    def stream(self, *names: int | str) -> SeedKey:
        """The key of a random stream of this item and repeat."""
        return (self.setup.seed, self.item.digest, self.repeat, *names)

    def with_budget(self, budget: Budget) -> Bench:
        """The same with another budget."""
        return replace(self, budget=budget)

    def tokens(self, usage: Usage) -> int:
        """The tokens that count."""
        cached = usage.cached_tokens if self.setup.count == "fresh" else 0
        return usage.input_tokens - cached + usage.output_tokens


class Method(Protocol):
    """A way to answer. `budgeted` ones need what a debate used; `debates` says that it is a debate itself."""

    @property
    def budgeted(self) -> bool: ...

    @property
    def debates(self) -> bool: ...

    async def attempt(self, bench: Bench, samples: Samples) -> Ran:
        """Answer the bench's item. Raises only what no other item could escape: a refused request, a full disk."""
        ...
