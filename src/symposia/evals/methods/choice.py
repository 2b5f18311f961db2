"""One forced choice among labelled texts: by a tool call, or by scoring the labels where no tool can be forced."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from symposia.core.errors import InvalidInput, SymposiaError, TurnFailed
from symposia.core.message import Message, Scores, said
from symposia.core.profile import Participant, Profile
from symposia.core.transcript import Transcript
from symposia.core.value import Value
from symposia.talk.boundary import cause_of, misconfigured
from symposia.talk.converse import converse
from symposia.talk.debate.calls import Choice, calls_of, choose_tool, read_choice
from symposia.talk.protocols import Step, Stop, Turn
from symposia.talk.rules import Rules

from .meter import Meter
from .method import Bench
from .prompts import prompt
from .samples import EXPERT

UNREADABLE = "unreadable_choice"


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which text, by its place; None and the cause, where the reply named none. It is never simply the first."""

    at: int | None
    why: str
    meter: Meter


class _Asking(Value, frozen=True):
    """One turn with a cue, by a forced tool or scored labels."""

    turn: Turn

    def next(self, transcript: Transcript) -> Step:
        """The turn, once."""
        return Stop("chosen") if len(transcript) > 1 else (self.turn,)


async def choose_one(
    bench: Bench, candidates: Sequence[str], name: str, *, by: Profile | None = None
) -> Chosen:
    """Ask the run's model, or `by`, told by the prompt `name`, which of the texts it takes.

    Raises `InvalidInput` where the backend can neither force a tool nor score continuations.
    """
    labels = tuple(str(number) for number in range(1, len(candidates) + 1))
    profile = by or bench.setup.profile
    turn = await _turn(bench, profile.model, _cue(bench, candidates, labels, name), labels)
    meter = Meter()
    rules = Rules(seed_key=bench.stream(name), on_empty="keep", conversation=bench.item.id)
    try:
        ended = await converse(
            _Asking(turn),
            [Participant(name=EXPERT, profile=profile)],
            bench.backend,
            transcript=Transcript((said("user", bench.item.asked),)),
            emit=meter,
            rules=rules,
            kit=bench.kit,
        )
    except SymposiaError as error:
        if misconfigured(error.__cause__ if isinstance(error, TurnFailed) and error.__cause__ else error):
            raise
        return Chosen(None, cause_of(error), meter)
    at, why = _read(ended.transcript[1], labels)
    return Chosen(at, why, meter)


async def _turn(bench: Bench, model: str, cue: str, labels: tuple[str, ...]) -> Turn:
    card = await bench.backend.describe(model)
    asked = Turn(speaker=EXPERT, cue=cue, tools=())
    if "force" in card.features:
        return msgspec.structs.replace(asked, force=choose_tool(labels))
    if "choices" in card.features:
        return msgspec.structs.replace(asked, choices=labels)
    raise InvalidInput(
        f"{model} can neither be forced to call a tool nor score continuations, and this method "
        "ends with a choice; leave it out of --methods"
    )


def _cue(bench: Bench, candidates: Sequence[str], labels: Sequence[str], name: str) -> str:
    entries = [{"label": label, "answer": text} for label, text in zip(labels, candidates, strict=True)]
    told = prompt(bench.setup.prompts, name).replace("{labels}", ", ".join(labels))
    return told.replace("{candidates}", msgspec.json.encode(entries).decode())


def _read(message: Message, labels: tuple[str, ...]) -> tuple[int | None, str]:
    scores = next((p for p in message.parts if isinstance(p, Scores)), None)
    if scores is not None:
        best = max(scores.logprobs)
        named = [label for label, p in zip(labels, scores.logprobs, strict=True) if p == best]
        return (labels.index(named[0]), "") if len(named) == 1 else (None, UNREADABLE)
    read = read_choice(calls_of(message), labels)
    return (labels.index(read.choice), "") if isinstance(read, Choice) else (None, UNREADABLE)
