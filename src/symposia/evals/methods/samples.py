"""One stream of independent samples an item: drawn once, shared by every method that samples."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from symposia.core.errors import SymposiaError, TurnFailed
from symposia.core.message import Message, said
from symposia.core.profile import Participant
from symposia.core.transcript import Transcript
from symposia.core.usage import NOTHING, Usage
from symposia.talk.boundary import cause_of, misconfigured
from symposia.talk.converse import converse
from symposia.talk.debate.extract import Extracted, extract
from symposia.talk.debate.keys import answer_key
from symposia.talk.protocols import Once
from symposia.talk.rules import Rules

from .method import Bench
from .prompts import prompt

EXPERT = "expert"
FAILED = Usage(calls=1, attempts=1)
"""A call that left nothing: what it used, nobody said."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A reply to the question alone. `cause` says why it has no answer; `failed` that no reply came at all.

    `key` is None where the answer is not of the kind asked for.
    """

    text: str = ""
    extracted: Extracted | None = None
    key: str | None = None
    cause: str = ""
    failed: bool = False
    usage: Usage = NOTHING
    unpriced: int = 0
    requests: tuple[str, ...] = ()


class Samples:
    """The streams of one item, plain and with tools. Sample k is the same whoever asks for it and when."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._drawn: dict[bool, list[asyncio.Task[Sample]]] = {False: [], True: []}

    async def first(self, n: int, *, tools: bool = False) -> list[Sample]:
        """The first `n` samples, drawn side by side where they are new."""
        drawn = self._drawn[tools]
        while len(drawn) < n:
            drawn.append(asyncio.ensure_future(draw(self._bench, len(drawn), tools=tools)))
        return list(await asyncio.gather(*drawn[:n]))

    async def close(self) -> None:
        """Cancel what is under way."""
        tasks = [task for drawn in self._drawn.values() for task in drawn]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def draw(bench: Bench, number: int, *, tools: bool) -> Sample:
    """Sample `number` of the item's stream. Raises what no other sample could escape."""
    expert = _expert(bench)
    rules = Rules(seed_key=bench.stream("sample", number), on_empty="keep", conversation=bench.item.id)
    try:
        ended = await converse(
            Once(speaker=EXPERT),
            [expert],
            bench.backend,
            transcript=Transcript((said("user", bench.item.asked),)),
            rules=rules,
            kit=bench.kit,
        )
    except SymposiaError as error:
        if misconfigured(error.__cause__ if isinstance(error, TurnFailed) and error.__cause__ else error):
            raise
        return Sample(cause=cause_of(error), failed=True, usage=FAILED, unpriced=1)
    return _read(bench, ended.transcript.messages[1:])


def _expert(bench: Bench) -> Participant:
    profile = bench.setup.profile
    system = prompt(bench.setup.prompts, "single")
    if profile.system:
        system += f"\n\n{profile.system}"
    return Participant(name=EXPERT, profile=msgspec.structs.replace(profile, system=system))


def _read(bench: Bench, messages: Sequence[Message]) -> Sample:
    """The answer in the last message; the usage of all."""
    made = [m.provenance for m in messages if m.provenance is not None]
    extracted = extract(messages[-1])
    cause = extracted.cause or ""
    return Sample(
        text=messages[-1].text,
        extracted=extracted,
        key=None if cause else answer_key(extracted.text, bench.item.kind, bench.item.options),
        cause=cause,
        usage=sum((one.usage for one in made), NOTHING),
        unpriced=sum(one.usage.cost_usd is None for one in made),
        requests=tuple(one.request for one in made),
    )
