"""What is to be scored: checked as a whole before anything is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from symposia.core.errors import InvalidInput
from symposia.evals.methods.method import Method, Setup
from symposia.evals.methods.prompts import prompts_digest
from symposia.evals.methods.registry import DEFAULT, method
from symposia.evals.tasks.item import Item
from symposia.talk.debate.prompts import prompts_digest as debate_prompts_digest

from .card import Asked
from .grade import check_item


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Every method on every item of every task, `repeats` times. Raises `InvalidInput` for what cannot be done.

    `tasks` are items by the name of their set or file.
    """

    setup: Setup
    tasks: Mapping[str, tuple[Item, ...]]
    methods: tuple[str, ...] = DEFAULT
    repeats: int = 1

    def __post_init__(self) -> None:
        if self.repeats < 1 or not self.methods or not any(self.tasks.values()):
            raise InvalidInput(
                f"expected at least one method, item and repeat; got {len(self.methods)} methods, "
                f"{sum(map(len, self.tasks.values()))} items, {self.repeats} repeats"
            )
        if len(set(self.methods)) < len(self.methods):
            raise InvalidInput(f"expected different methods; got {', '.join(self.methods)}")
        named = self.named
        debates = [name for name, one in named.items() if one.debates]
        budgeted = [name for name, one in named.items() if one.budgeted]
        if budgeted and not debates:
            raise InvalidInput(
                f"{', '.join(budgeted)}: the budget is what a debate uses, and no method here is one; "
                "add debate, or give a number such as sc:5"
            )
        if debates and self.setup.debate is None:
            raise InvalidInput(f"{', '.join(debates)}: a debate needs a team; this run has none")
        for items in self.tasks.values():
            for item in items:
                check_item(item)

    @property
    def named(self) -> dict[str, Method]:
        """The methods by the names they were asked for with."""
        return {name: method(name) for name in self.methods}

    @property
    def reference(self) -> str:
        """What sets budgets and is compared with every other: the first debate, else the first method."""
        return next((name for name, one in self.named.items() if one.debates), self.methods[0])

    @property
    def asked(self) -> Asked:
        """The plan as the scorecard tells it."""
        setup = self.setup
        return Asked(
            methods=self.methods,
            profile=setup.profile,
            debate=setup.debate,
            prompts=(prompts_digest(setup.prompts), debate_prompts_digest(setup.prompts)),
            items=tuple((task, tuple(item.digest for item in items)) for task, items in self.tasks.items()),
            repeats=self.repeats,
            seed=setup.seed,
            count=setup.count,
        )
