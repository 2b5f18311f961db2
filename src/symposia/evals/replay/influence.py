"""What each seat is worth to a debate: exact Shapley values over all sets of seats that could have held it.

A seat outside the set abstains in every round: nobody hears it, and its answer is no candidate.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass

import msgspec

from symposia.core.errors import BackendError, InvalidInput
from symposia.core.request import Backend, Item, ModelCard, Prompt, Request
from symposia.core.value import Count, Value
from symposia.evals.statistics.shapley import coalitions, shapley
from symposia.talk.converse import converse
from symposia.talk.debate import Debate, DebateAnswer, answer_key, read_answer
from symposia.talk.debate.keys import group_key
from symposia.talk.debate.setting import kit_for

from .replaying import Held, fresh

MOST_SEATS = 5


class Influence(Value, frozen=True, kw_only=True):
    """Each seat's value, and what each set of seats was worth: the share of its debates that were right.

    The values add up to the worth of all seats. `calls` are those the journal did not answer.
    """

    values: Mapping[str, float]
    worth: tuple[tuple[tuple[str, ...], float], ...]
    repeats: Count
    debates: Count
    calls: Count


@dataclass(frozen=True, slots=True)
class Cost:
    """How many debates exact values take, and the calls they make at most, repairs left out."""

    debates: int
    calls: int


def cost(debate: Debate, repeats: int = 1) -> Cost:
    """What `influence` will hold. Raises `InvalidInput` for a team too large for exact values."""
    seats = len(debate.team.seats)
    if seats > MOST_SEATS:
        raise InvalidInput(f"exact Shapley values are for at most {MOST_SEATS} seats; this team has {seats}")
    rules = debate.stop == "captain"
    probes = 2 if debate.reads_beliefs else 1
    chosen = debate.orders if debate.select == "captain" else 0
    sizes = [len(seats) for seats in coalitions(debate.team.names) if seats]
    calls = sum(debate.max_rounds * (size * probes + rules) + chosen * (size > 1) for size in sizes)
    return Cost(debates=len(sizes) * repeats, calls=calls * repeats)


async def influence(held: Held, *, right: str | None = None, repeats: int = 1) -> Influence:
    """Hold the debate by every set of seats. Right is what equals `right`, or without it the answer there was.

    One repeat has the seeds the debate had; more have seeds of their own, the same for every set.
    """
    planned, asked = cost(held.debate, repeats), held.backend.calls
    names = held.debate.team.names
    sets = [seats for seats in coalitions(names) if seats]
    worths = await asyncio.gather(*(_worth(held, seats, right, repeats) for seats in sets))
    worth = {frozenset[str](): 0.0, **dict(zip(sets, worths, strict=True))}
    return Influence(
        values=shapley(names, worth),
        worth=tuple((tuple(n for n in names if n in seats), value) for seats, value in worth.items()),
        repeats=repeats,
        debates=planned.debates,
        calls=held.backend.calls - asked,
    )


async def _worth(held: Held, seats: frozenset[str], right: str | None, repeats: int) -> float:
    debate = msgspec.structs.replace(held.debate, quorum=1)
    before = read_answer(held.transcript, held.debate)
    found = 0
    for draw in range(repeats):
        rules = held.rules if repeats == 1 else fresh(held.rules, held.debate, draw)
        done = await converse(
            debate,
            debate.participants,
            Silenced(held.backend, frozenset(debate.team.names) - seats),
            transcript=held.transcript.up_to(1),
            rules=rules,
            kit=kit_for(debate, held.kit),
        )
        found += _is_right(read_answer(done.transcript, debate), before, right, debate)
    return found / repeats


def _is_right(given: DebateAnswer, before: DebateAnswer, right: str | None, debate: Debate) -> bool:
    if given.answer is None:
        return False
    if right is not None:
        key = answer_key(right, debate.kind, debate.options)
        return key is not None and answer_key(given.answer, debate.kind, debate.options) == key
    return before.answer is not None and _key(given.answer, debate) == _key(before.answer, debate)


def _key(text: str, debate: Debate) -> str:
    return group_key(text, debate.kind, debate.options)


class Silenced:
    """A backend whose `seats` are never asked: each of their turns fails, and so abstains."""

    def __init__(self, backend: Backend, seats: frozenset[str]) -> None:
        self._backend, self._seats = backend, seats

    async def describe(self, model: str) -> ModelCard:
        """What the backend says."""
        return await self._backend.describe(model)

    async def render(self, request: Request) -> Prompt:
        """What the backend renders."""
        return await self._backend.render(request)

    async def generate(self, request: Request) -> AsyncIterator[Item]:
        """What the backend generates, for whoever is not silenced."""
        if request.speaker in self._seats:
            raise BackendError(f"{request.speaker} is silenced", cause="cancelled")
        stream = self._backend.generate(request)
        assert isinstance(stream, AsyncGenerator)
        async with aclosing(stream):
            async for item in stream:
                yield item
