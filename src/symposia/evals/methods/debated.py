"""A debate on an item: the answer, what it used, and how every seat changed its mind on the way."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from symposia.core.errors import BackendError, ContextOverflow, InvalidInput, TurnFailed
from symposia.core.value import Value
from symposia.evals.scorecard.grade import grade_text
from symposia.evals.scorecard.trial import Course, SeatAnswer, Tried
from symposia.evals.tasks.item import Item, Question
from symposia.talk.boundary import cause_of
from symposia.talk.debate import Debate
from symposia.talk.debate.hold import Held, hold
from symposia.talk.debate.setting import with_tools
from symposia.talk.debate.teams import team
from symposia.talk.rules import Rules

from .meter import Meter
from .method import Bench, Ran
from .samples import Samples

Positive = Annotated[int, Meta(ge=1)]


class DebateOptions(Value, frozen=True, kw_only=True):
    """What a method of debating changes of the run's debate; None leaves it."""

    team: str | None = None
    max_rounds: Positive | None = None
    quorum: Positive | None = None
    stop: str | None = None
    select: Literal["captain", "vote"] | None = None
    orders: Positive | None = None
    shows: Literal["answer", "full"] | None = None

    def on(self, debate: Debate) -> Debate:
        """The debate, changed."""
        given = {k: v for k, v in msgspec.structs.asdict(self).items() if v is not None}
        if self.team is not None:
            given["team"] = team(self.team)
        return msgspec.structs.replace(debate, **given)


@dataclass(frozen=True)
class Debated:
    """Seats, rounds and a captain. `tools` gives the seats, never the captain, the run's tools."""

    options: DebateOptions = field(default_factory=DebateOptions)
    tools: bool = False
    budgeted: bool = False
    debates: bool = True

    async def attempt(self, bench: Bench, samples: Samples) -> Ran:
        """Hold the debate. What it could not survive, a prompt too long for the model, is a failure of this item."""
        del samples
        debate = self.options.on(debate_on(bench, tools=self.tools))
        held = await held_on(bench, debate)
        return held if isinstance(held, Ran) else result(*held, bench.item)


def debate_on(bench: Bench, *, tools: bool) -> Debate:
    """The run's debate, on this item."""
    setup = bench.setup
    if setup.debate is None:
        raise InvalidInput("a debate needs a team; this run has none")
    item = bench.item
    debate = replace(setup.debate, kind=item.kind, options=item.options, seed=setup.seed)
    return replace(with_tools(debate, setup.tools), tool_budget=setup.tool_budget) if tools else debate


async def held_on(bench: Bench, debate: Debate) -> tuple[Held, Meter] | Ran:
    """The debate, held; or what is left of one that a failure ended."""
    rules = Rules(seed_key=bench.stream("debate"), conversation=bench.item.id)
    meter = Meter()
    try:
        held = await hold(bench.item.asked, debate, bench.backend, rules=rules, kit=bench.kit, tell=meter)
    except (BackendError, ContextOverflow, TurnFailed) as error:
        tried = Tried(
            answer=None, cause=cause_of(error), failed=True, usage=meter.usage, unpriced=meter.unpriced
        )
        return Ran(tried, tuple(meter.requests))
    if bench.keep is not None:
        name = bench.item.id if bench.repeat == 0 else f"{bench.item.id}:{bench.repeat}"
        bench.keep(name, held.debate, rules, held.transcript)
    return held, meter


def result(held: Held, meter: Meter, item: Question) -> Ran:
    """What a debate came to; one without an answer failed for the reason it ended with."""
    answer = held.answer
    said = [one for each in held.proceedings.rounds for one in each.answers]
    tried = Tried(
        answer=answer.answer,
        cause="" if answer.answer is not None else answer.reason,
        failed=answer.answer is None,
        usage=meter.usage,
        unpriced=meter.unpriced,
        marker_missing=sum(not one.extracted.marker for one in said),
        truncated=sum(one.extracted.truncated for one in said)
        + sum(row.cause == "truncated" for row in answer.ledger),
        course=course(held, item) if isinstance(item, Item) else None,
    )
    return Ran(tried, tuple(meter.requests))


def course(held: Held, item: Item) -> Course:
    """Every answer on the way, graded."""
    return Course(
        reason=held.answer.reason,
        rounds=held.answer.rounds,
        answers=tuple(
            SeatAnswer(
                round=each.number, seat=one.seat, key=one.key, grade=grade_text(one.extracted.text, item)
            )
            for each in held.proceedings.rounds
            for one in each.answers
        ),
        flags=tuple(flag.partition(":")[0] for flag in held.answer.flags),
    )
