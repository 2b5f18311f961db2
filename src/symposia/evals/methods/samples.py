"""One stream of independent samples an item: drawn once, shared by every method that samples."""

from __future__ import annotations

import asyncio
import dataclasses
from dataclasses import dataclass
from typing import get_args

from msgspec.structs import replace

from symposia.core.errors import ModelCause, SymposiaError, TurnFailed
from symposia.core.message import Message, said
from symposia.core.profile import Participant
from symposia.core.transcript import Transcript
from symposia.core.usage import NOTHING, Usage
from symposia.core.value import Value
from symposia.talk.boundary import cause_of, misconfigured
from symposia.talk.converse import converse
from symposia.talk.debate.extract import Extracted, extract
from symposia.talk.debate.keys import answer_key
from symposia.talk.debate.prompts import prompt as debate_prompt
from symposia.talk.protocols import Step, Stop, Turn
from symposia.talk.rules import Rules

from .meter import Meter
from .method import Bench
from .prompts import prompt

EXPERT = "expert"
_MODELS_OWN: frozenset[str] = frozenset(get_args(ModelCause))


@dataclass(frozen=True, slots=True)
class Sample:
    """A reply to the question alone. `cause` says why it has no answer; `failed` that it is not for what the model did.

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
    meter = Meter(primed=number > 0)
    rules = Rules(seed_key=bench.stream("sample", number), on_empty="keep", conversation=bench.item.id)
    try:
        ended = await converse(
            _Answering(_turn(bench, tools=tools)),
            [_expert(bench, tools=tools)],
            bench.backend,
            transcript=Transcript((said("user", bench.item.asked),)),
            emit=meter,
            rules=rules,
            kit=bench.kit,
        )
    except SymposiaError as error:
        if misconfigured(error.__cause__ if isinstance(error, TurnFailed) and error.__cause__ else error):
            raise
        cause = cause_of(error)
        return _metered(Sample(cause=cause, failed=cause not in _MODELS_OWN), meter)
    return _metered(_read(bench, ended.transcript.messages[-1]), meter)


class _Answering(Value, frozen=True):
    """One turn, with whatever calls belong to it."""

    turn: Turn

    def next(self, transcript: Transcript) -> Step:
        """The turn, once."""
        return Stop("answered") if len(transcript) > 1 else (self.turn,)


def _turn(bench: Bench, *, tools: bool) -> Turn:
    if not tools:
        return Turn(speaker=EXPERT)
    closing = debate_prompt(bench.setup.prompts, "closing")
    return Turn(speaker=EXPERT, tool_rounds=bench.setup.tool_budget, closing=closing)


def _expert(bench: Bench, *, tools: bool) -> Participant:
    profile = bench.setup.profile
    system = prompt(bench.setup.prompts, "single")
    if profile.system:
        system += f"\n\n{profile.system}"
    return Participant(
        name=EXPERT, profile=replace(profile, system=system, tools=bench.setup.tools if tools else ())
    )


def _read(bench: Bench, message: Message) -> Sample:
    """The answer in a reply."""
    extracted = extract(message)
    cause = extracted.cause or ""
    key = None if cause else answer_key(extracted.text, bench.item.kind, bench.item.options)
    return Sample(text=message.text, extracted=extracted, key=key, cause=cause)


def _metered(sample: Sample, meter: Meter) -> Sample:
    return dataclasses.replace(
        sample, usage=meter.usage, unpriced=meter.unpriced, requests=tuple(meter.requests)
    )
