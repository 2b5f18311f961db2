"""Debates for the benchmarks, timed in a process of their own: orders on stdin, answers on stdout, a JSON line each.

An order: `arm` ("scripted", "sdk", "plain", "talked", "engine", "statistics"), `debates`, `rounds`, `at_once`,
`journal`, `url`. The answer: CPU and wall seconds, calls, the largest memory, and for the engine tokens of prompts.
"""

from __future__ import annotations

import asyncio
import json
import random
import resource
import sys
import tempfile
import time
import zlib
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "src"))

from upstream import DIRECTION, PARAGRAPH, body

from symposia.backends import Journal, Journalled, OpenAIEndpoint, Scripted
from symposia.backends.hosts import Hosts
from symposia.core.message import said
from symposia.core.profile import Participant, Profile
from symposia.core.request import Backend, Completion, Item, Request
from symposia.core.transcript import Transcript
from symposia.talk.converse import converse
from symposia.talk.debate import Debate
from symposia.talk.debate.hold import hold
from symposia.talk.debate.teams import team
from symposia.talk.protocols import RoundRobin
from symposia.talk.rules import Rules

Asked = dict[str, Any]
ENGINE_DEBATES = 4


def scripted(request: Request) -> dict[str, Any] | str:
    """What the endpoint answers, without one."""
    if request.force is not None:
        fields = request.force.parameters["properties"]
        if "consensus" in fields:
            return {"consensus": False, "direction": DIRECTION}
        return {name: field["enum"][0] for name, field in fields.items()}
    return f"{PARAGRAPH}\n[[ANSWER]] {zlib.crc32(f'{request.seed}'.encode())}"


class Forgetful(list[Request]):
    """A script's record of what it was asked, which a million calls would fill memory with."""

    def append(self, request: Request) -> None:
        """Keep nothing."""


def backend_of(asked: Asked) -> tuple[Backend, str]:
    """The backend of an arm, and its model."""
    if asked["arm"] in ("sdk", "talked"):
        import httpx2

        def answer(request: httpx2.Request) -> httpx2.Response:
            kind, raw = body(json.loads(request.content))
            return httpx2.Response(200, headers={"content-type": kind}, content=raw)

        inside = None if asked["url"] else httpx2.MockTransport(answer)
        endpoint = OpenAIEndpoint(base_url=asked["url"] or "http://127.0.0.1/v1", key="none")
        return Hosts({}, transport=inside).backend("stub", endpoint), "stub:m"
    made = Scripted(scripted, features=frozenset({"force"}))
    made.requests = Forgetful()
    return made, "m"


async def debates(asked: Asked, backend: Backend, model: str) -> int:
    """Hold them all, so many at a time; the calls made."""
    profile = Profile(model=model)
    debate = Debate(
        team=team("A"), captain=profile, profile=profile, max_rounds=asked["rounds"], orders=1, prompts="full"
    )
    numbers, calls = iter(range(asked["debates"])), 0

    async def one_after_another() -> None:
        nonlocal calls
        for number in numbers:
            name = f"debate {number}"
            rules = Rules(seed_key=(0, name), conversation=name)
            question = f"Question {number}: how long does the train take?"
            held = await hold(question, debate, backend, rules=rules)
            assert held.answer.answer
            calls += len(held.answer.ledger)

    await asyncio.gather(*(one_after_another() for _ in range(asked["at_once"])))
    return calls


async def plain(asked: Asked, backend: Backend, model: str) -> int:
    """Two people, ten turns each conversation: a call and nothing else."""
    people = [
        Participant(name=name, profile=Profile(model=model, system=f"You are {name}.")) for name in "ab"
    ]
    numbers = iter(range(asked["debates"]))

    async def one_after_another() -> None:
        for number in numbers:
            start = Transcript((said("moderator", f"Question {number}."),))
            ring = RoundRobin(speakers=("a", "b"), turns=10)
            await converse(ring, people, backend, transcript=start, rules=Rules(seed_key=(number,)))

    await asyncio.gather(*(one_after_another() for _ in range(asked["at_once"])))
    return 10 * asked["debates"]


class Recorded:
    """A backend, and when each of its generations began and ended, with the tokens of both."""

    def __init__(self, backend: Backend) -> None:
        self._backend, self._moment = backend, 0
        self.describe, self.render = backend.describe, backend.render
        self.spans: list[tuple[int, int, Completion]] = []

    async def generate(self, request: Request) -> AsyncIterator[Item]:
        """What the backend generates."""
        began = self._moment = self._moment + 1
        async for item in self._backend.generate(request):
            if isinstance(item, Completion):
                self._moment += 1
                self.spans.append((began, self._moment, item))
            yield item

    def reachable(self) -> int:
        """Prompt tokens that some generation begun before had in the same place: all that a prefix cache can give."""
        total = 0
        for began, _, made in self.spans:
            before = [
                (*other.prompt_token_ids, *(other.token_ids if ended < began else ()))
                for start, ended, other in self.spans
                if start < began
            ]
            total += max((common(made.prompt_token_ids, one) for one in before), default=0)
        return total


def common(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens two sequences begin with."""
    return next(
        (at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )


async def on_the_engine(asked: Asked) -> dict[str, float]:
    """Debates of five seats on the bundled model: how much of their prompts was computed already, and could be."""
    from symposia.evals.tasks.sets import shipped
    from symposia.facade import default_backend
    from symposia.talk.debate.hold import answering, prepared

    backend = Recorded(default_backend())
    profile = await answering(backend, "symposia:tiny")
    debate = Debate(
        team=team("B"), captain=profile, profile=profile, max_rounds=asked["rounds"], stop="captain"
    )
    ready, rows = await prepared(debate, backend), []
    for item in [item for item in shipped("ordering") if item.level == 3][:ENGINE_DEBATES]:
        held = await hold(item.asked, ready, backend)
        rows += held.answer.ledger
    return {
        "calls": len(rows),
        "prompt_tokens": sum(row.prompt_tokens for row in rows),
        "cached_tokens": sum(row.cached_tokens for row in rows),
        "reachable_tokens": backend.reachable(),
    }


async def held(asked: Asked, work: Callable[[Asked, Backend, str], Coroutine[Any, Any, int]]) -> int:
    """The work on the arm's backend, with the journal before it if asked."""
    backend, model = backend_of(asked)
    with (
        tempfile.TemporaryDirectory() as folder,
        Journal.open(folder) if asked["journal"] else nullcontext() as kept,
    ):
        return await work(asked, backend if kept is None else Journalled(backend, kept), model)


def statistics(asked: Asked) -> int:
    """A scorecard of five methods on so many items, computed from its trials."""
    from symposia.evals.scorecard.card import Asked as Plan
    from symposia.evals.scorecard.card import scorecard
    from symposia.evals.scorecard.trial import Trial, Tried

    dice, methods = random.Random(0), ("single", "sc@calls", "sc@tokens", "usc@calls", "debate")
    items = tuple(f"sha256:{number:064x}" for number in range(asked["debates"]))
    trials = [
        Trial(
            task="t",
            item=item,
            method=method,
            grade="right" if dice.random() < 0.6 else "wrong",
            tried=Tried(answer="1"),
        )
        for item in items
        for method in methods
    ]
    plan = Plan(methods=methods, profile=Profile(model="m"), prompts=("", ""), items=(("t", items),))
    assert scorecard(plan, "debate", trials).comparisons
    return len(trials)


def measured(asked: Asked) -> dict[str, float]:
    """One order; what is done once a process is done before."""
    if asked["arm"] not in ("engine", "statistics"):
        work = plain if asked["arm"] in ("plain", "talked") else debates
        asyncio.run(held({**asked, "debates": 2}, work))
    cpu, wall = time.process_time(), time.perf_counter()
    told: dict[str, float] = {}
    match asked["arm"]:
        case "engine":
            told = asyncio.run(on_the_engine(asked))
        case "statistics":
            told["calls"] = statistics(asked)
        case "plain" | "talked":
            told["calls"] = asyncio.run(held(asked, plain))
        case _:
            told["calls"] = asyncio.run(held(asked, debates))
    told |= {"cpu_s": time.process_time() - cpu, "wall_s": time.perf_counter() - wall}
    return {**told, "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def main() -> None:
    """Answer until standard input ends."""
    for line in sys.stdin:
        print(json.dumps(measured(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
