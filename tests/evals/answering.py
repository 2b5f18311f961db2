"""A scripted model that answers at random, but always the same to the same request; plans to score it with."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from random import Random

from symposia.backends import Journal, Scripted
from symposia.core.message import ToolCall
from symposia.core.profile import Profile, Sampling
from symposia.core.request import Completion, Request, ServedBy
from symposia.core.usage import Usage
from symposia.evals.methods.method import Setup
from symposia.evals.scorecard.plan import Plan
from symposia.evals.scorecard.score import Scored, score
from symposia.evals.tasks.item import Item
from symposia.talk.debate import Debate, Team
from symposia.talk.debate.hold import prepared
from symposia.talk.debate.teams import team

MODEL = Profile(model="scripted:model", sampling=Sampling(temperature=0.7, max_tokens=200))
FORCE = frozenset({"force"})


def chance(request: Request) -> Random:
    return Random(request.digest)


def concludes(request: Request, *, agreement: float = 0.4) -> dict[str, object]:
    """A captain's ruling, or its choice."""
    random = chance(request)
    if request.force.name == "conclude":
        if random.random() < agreement:
            return {"consensus": True, "direction": None}
        return {"consensus": False, "direction": "Check the last step."}
    return {"choice": random.choice(request.force.parameters["properties"]["choice"]["enum"])}


def guessing(request: Request) -> str | dict[str, object]:
    """One of three numbers, after as many words as chance has it."""
    if request.force is not None:
        return concludes(request)
    random = chance(request)
    return f"{'so ' * random.randint(1, 30)}it is\n[[ANSWER]] {random.choice((3, 4, 5))}"


def scripted(reply=guessing, **more) -> Scripted:
    return Scripted(reply, features=FORCE, **more)


def items(n: int, answer: str = "4") -> tuple[Item, ...]:
    return tuple(
        Item(id=f"i{k:03d}", question=f"Question {k}?", kind="number", answer=answer, level=k % 3 + 1)
        for k in range(n)
    )


def debate(size: int = 3, **more) -> Debate:
    seats = team("C").seats[:size]
    return Debate(team=Team("test", seats), captain=MODEL, profile=MODEL, **more)


def setup(**more) -> Setup:
    return Setup(profile=MODEL, **{"debate": debate(), **more})


def plan(n: int = 6, methods=("single", "sc@calls", "sc@tokens", "usc@calls", "debate"), **more) -> Plan:
    fields = {"setup": setup(), "tasks": {"t": items(n)}, **more}
    return Plan(methods=methods, **fields)


def scored(asked: Plan, backend=None, journal: Journal | None = None, **more) -> Scored:
    async def run() -> Scored:
        with Journal.unkept() if journal is None else nullcontext(journal) as opened:
            return await score(asked, backend or scripted(), opened, **more)

    return asyncio.run(run())


def completed(
    text: str = "", *, usage: Usage = Usage(), finish: str = "stop", calls: tuple[ToolCall, ...] = (), **more
):
    return Completion(
        text=text,
        parts=calls,
        finish_reason=finish,
        usage=usage,
        served=ServedBy(endpoint="s", model="m"),
        **more,
    )


__all__ = [
    "MODEL",
    "completed",
    "debate",
    "guessing",
    "items",
    "plan",
    "prepared",
    "scored",
    "scripted",
    "setup",
]
