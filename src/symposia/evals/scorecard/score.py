"""Running a plan: the debate first, since it sets the budgets; every generation through the run's journal.

The journal answers what it holds, so a run that was killed goes on where it was, and another method costs only itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace

from symposia.backends import Journal, Journalled
from symposia.core.errors import SymposiaError
from symposia.core.request import Backend
from symposia.core.value import Value
from symposia.evals.methods.method import Bench, Budget, Keep, Method, Ran
from symposia.evals.methods.samples import Samples
from symposia.evals.tasks.item import Item
from symposia.talk.rules import Kit

from .card import Scorecard, scorecard
from .grade import grade
from .plan import Plan
from .trial import Trial

Tell = Callable[[Trial], None]


class Times(Value, frozen=True, kw_only=True):
    """Seconds of generation by method, as the journal has them: sums over calls, side by side or not.

    Apart from the scorecard, whose bytes do not depend on a clock. Samples that methods share count for each.
    """

    seconds: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class Scored:
    """The card, the times, and how many generations were asked for or found in the journal."""

    card: Scorecard
    times: Times
    calls: int
    kept: int


@dataclass(frozen=True, slots=True)
class _One:
    """An item of a task, once."""

    task: str
    item: Item
    repeat: int


def untold(trial: Trial) -> None:
    """A listener that keeps nothing."""


async def score(
    plan: Plan,
    backend: Backend,
    journal: Journal,
    *,
    kit: Kit | None = None,
    concurrency: int = 4,
    tell: Tell = untold,
    keep: Keep | None = None,
) -> Scored:
    """Try every method on every item, `concurrency` items at a time; `tell` hears of every trial as it ends.

    `keep` hears of every debate.

    Raises what no item could escape: a request that the backend refuses as it stands, a journal that cannot be written.
    """
    running = _Running(plan, Journalled(backend, journal), journal, kit or Kit(), tell, keep)
    gate = asyncio.Semaphore(concurrency)

    async def one(work: _One) -> None:
        async with gate:
            await running.item(work)

    works = [
        _One(task, item, repeat)
        for repeat in range(plan.repeats)
        for task, items in plan.tasks.items()
        for item in items
    ]
    try:
        async with asyncio.TaskGroup() as group:
            for work in works:
                group.create_task(one(work))
    except* SymposiaError as errors:
        raise _first(errors) from None
    card = scorecard(plan.asked, plan.reference, running.trials)
    return Scored(card, running.times(), running.backend.calls, running.backend.kept)


class _Running:
    """The trials and seconds so far; what a trial comes to is decided elsewhere."""

    def __init__(
        self, plan: Plan, backend: Journalled, journal: Journal, kit: Kit, tell: Tell, keep: Keep | None
    ) -> None:
        self._keep = keep
        self.plan, self.backend, self.trials = plan, backend, list[Trial]()
        self._journal, self._kit, self._tell = journal, kit, tell
        self._named, self._reference = plan.named, plan.reference
        self._seconds = dict.fromkeys(plan.methods, 0.0)

    async def item(self, work: _One) -> None:
        """All methods on one item, the one that sets the budget first."""
        bench = Bench(
            setup=self.plan.setup,
            item=work.item,
            backend=self.backend,
            repeat=work.repeat,
            kit=self._kit,
            keep=self._keep,
        )
        samples = Samples(bench)
        try:
            first = await self._try(self._reference, bench, samples, work)
            spent = first.tried.usage
            paid = replace(bench, budget=Budget(calls=spent.calls, tokens=bench.tokens(spent)))
            for name in self._named:
                if name != self._reference:
                    await self._try(name, paid, samples, work)
        finally:
            await samples.close()

    async def _try(self, name: str, bench: Bench, samples: Samples, work: _One) -> Ran:
        method: Method = self._named[name]
        ran = await method.attempt(bench, samples)
        trial = Trial(
            task=work.task,
            item=work.item.id,
            level=work.item.level,
            repeat=work.repeat,
            method=name,
            grade=grade(ran.tried, work.item),
            tried=ran.tried,
        )
        self.trials.append(trial)
        for request in ran.requests:
            found = await self._journal.find(request)
            self._seconds[name] += 0.0 if found is None else found.took_s
        self._tell(trial)
        return ran

    def times(self) -> Times:
        """Seconds by method, to the millisecond."""
        return Times(seconds=tuple((name, round(s, 3)) for name, s in self._seconds.items()))


def _first(errors: BaseExceptionGroup[SymposiaError]) -> SymposiaError:
    """One of several errors of equal standing."""
    found = errors.exceptions[0]
    return _first(found) if isinstance(found, BaseExceptionGroup) else found
