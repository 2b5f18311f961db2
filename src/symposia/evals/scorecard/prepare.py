"""From what a person asks for to a plan: task sets by name, a team by name, one profile for everybody."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from symposia.core.errors import InvalidInput
from symposia.core.profile import Profile
from symposia.core.request import Backend
from symposia.core.toolspec import ToolSpec
from symposia.core.value import Count, Value
from symposia.evals.methods.method import Counting, Setup
from symposia.evals.methods.registry import DEFAULT, method
from symposia.evals.tasks.item import Item
from symposia.evals.tasks.sets import shipped
from symposia.talk.debate import Debate, Team
from symposia.talk.debate.hold import SMALL, answering, prepared
from symposia.talk.debate.teams import DEFAULT as DEFAULT_TEAM
from symposia.talk.debate.teams import team, team_of
from symposia.talk.debate.values import Size

from .plan import Plan

Positive = Annotated[int, Meta(ge=1)]
WITH_TOOLS = {"single": "single_tools", "debate": "tool_grounded", "parallel_consensus": "tool_grounded"}
"""What takes a method's place where there are tools."""


class Scoring(Value, frozen=True, kw_only=True):
    """How a scorecard is made; defaults are those of the command line.

    `n` items of each task, all if None. `team` is a name, dispositions, or a team. `captain` is a model; None is the
    run's own, "none" nobody; `select` None is the captain if there is one. `reply_tokens` None is an eighth of the
    model's context, at most 2,048.
    """

    methods: tuple[str, ...] = DEFAULT
    n: Positive | None = None
    repeats: Positive = 1
    team: str | tuple[str, ...] | Team = DEFAULT_TEAM
    captain: str | None = None
    rounds: Positive = 3
    stop: str = "captain"
    select: Literal["captain", "vote"] | None = None
    orders: Positive = 2
    shows: Literal["answer", "full"] = "answer"
    prompts: Literal["auto", "full", "short"] = "auto"
    temperature: float = 0.7
    reply_tokens: Positive | None = None
    count: Counting = "fresh"
    tool_budget: Count = 3
    seed: int = 0


def tasks_named(names: Sequence[str]) -> dict[str, tuple[Item, ...]]:
    """The shipped sets of these names. `UnknownName` lists them."""
    return {name: shipped(name) for name in names}


async def plan_for(
    tasks: Mapping[str, tuple[Item, ...]],
    model: str,
    scoring: Scoring,
    backend: Backend,
    *,
    debate: Debate | None = None,
    tools: Sequence[ToolSpec] = (),
) -> Plan:
    """The plan, with the debate as its models can hold it; `debate` in place of the one that `scoring` describes.

    Raises for what cannot be done, before any call.
    """
    profile = await answering(backend, model, temperature=scoring.temperature)
    if scoring.reply_tokens is not None:
        sampling = msgspec.structs.replace(profile.sampling, max_tokens=scoring.reply_tokens)
        profile = msgspec.structs.replace(profile, sampling=sampling)
    methods = tuple(WITH_TOOLS.get(name, name) for name in scoring.methods) if tools else scoring.methods
    ready: Debate | None = None
    if any(method(name).debates for name in methods):
        ready = await prepared(debate or _debate(scoring, profile), backend, prompts=scoring.prompts)
    size = await _size(scoring, profile, backend) if ready is None else ready.prompts
    return Plan(
        setup=Setup(
            profile=profile,
            prompts=size,
            seed=scoring.seed,
            count=scoring.count,
            tools=tuple(tools),
            tool_budget=scoring.tool_budget,
            debate=ready,
        ),
        tasks={name: items[: scoring.n] for name, items in tasks.items()},
        methods=methods,
        repeats=scoring.repeats,
    )


async def _size(scoring: Scoring, profile: Profile, backend: Backend) -> Size:
    """The prompts' size where no debate decides it, by the same rule."""
    if scoring.prompts != "auto":
        return scoring.prompts
    window = (await backend.describe(profile.model)).context_window
    return "short" if window is not None and window < SMALL else "full"


def _debate(scoring: Scoring, profile: Profile) -> Debate:
    captain = _captain(scoring, profile)
    return Debate(
        team=_team(scoring.team),
        captain=captain,
        profile=profile,
        max_rounds=scoring.rounds,
        stop=scoring.stop,
        select=scoring.select or ("vote" if captain is None else "captain"),
        orders=scoring.orders,
        shows=scoring.shows,
        seed=scoring.seed,
    )


def _team(asked: str | tuple[str, ...] | Team) -> Team:
    match asked:
        case Team():
            return asked
        case str():
            return team(asked)
    return team_of(asked)


def _captain(scoring: Scoring, profile: Profile) -> Profile | None:
    if scoring.captain == "none":
        return None
    if scoring.captain == "":
        raise InvalidInput("captain: expected a model, or none; got nothing")
    return profile if scoring.captain is None else msgspec.structs.replace(profile, model=scoring.captain)
