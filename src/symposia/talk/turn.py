"""One turn: view, fit, generate, parse, read, review; then everything it commits, at once or not at all."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from symposia.core.errors import Cause, ContextOverflow
from symposia.core.message import NOBODY, Message, Signal, Text
from symposia.core.request import Completion
from symposia.core.transcript import Transcript
from symposia.core.usage import NOTHING, Usage

from .ask import Ask, Table, ask, seen
from .boundary import guarded
from .fit import NeedsSummary
from .generate import generate
from .protocols import Turn
from .reply import Reply, check_reply, messages_of, noted, provenance_of, read_reply
from .review import control, review
from .stop import Allowance
from .summary import summarise

MOST_SUMMARIES = 3


@dataclass(frozen=True, slots=True)
class Taken:
    """What a finished turn commits, in order, and what it used."""

    messages: tuple[Message, ...]
    usage: Usage = NOTHING


async def take_turn(table: Table, turn: Turn, transcript: Transcript, allowance: Allowance) -> Taken:
    """Play `turn` on `transcript`. Raises what the backend, the fit or a hook raised; then nothing is committed."""
    as_of = len(transcript) if turn.as_of is None else turn.as_of
    if turn.say is not None:
        said = Message(
            author=turn.speaker,
            parts=(Text(turn.say),),
            audience=turn.audience,
            origin="scripted",
            as_of=as_of,
        )
        return Taken(marked(turn, (said,)))
    asked, summaries = await _asked(table, turn, seen(transcript, turn.speaker, as_of), as_of, allowance)
    completion = await generate(table, asked.request, asked.digest)
    taken = await _finish(table, turn, asked, completion, transcript)
    spent = sum((m.provenance.usage for m in summaries if m.provenance), taken.usage)
    return Taken((*summaries, *marked(turn, taken.messages)), spent)


def marked(turn: Turn, messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """The messages of a turn, the speaker's own with the turn's mark."""
    if turn.mark is None:
        return messages
    return tuple(
        msgspec.structs.replace(m, parts=(*m.parts, turn.mark)) if m.author == turn.speaker else m
        for m in messages
    )


def abstention(turn: Turn, as_of: int, cause: Cause) -> Taken:
    """What a failed turn commits where its protocol goes on without it: its cause, seen by nobody."""
    failed = Message(
        author=turn.speaker,
        parts=(Signal("failed", cause),),
        audience=NOBODY,
        origin="scripted",
        as_of=as_of,
    )
    return Taken(marked(turn, (failed,)))


async def _asked(
    table: Table, turn: Turn, messages: Transcript, as_of: int, allowance: Allowance
) -> tuple[Ask, tuple[Message, ...]]:
    """The fitted request, and the summaries that had to be made for it."""
    made: list[Message] = []
    asked = await ask(table, turn, messages, as_of, allowance)
    while isinstance(asked, NeedsSummary):
        if len(made) == MOST_SUMMARIES:
            raise ContextOverflow(
                tokens=asked.tokens, limit=asked.limit, speaker=turn.speaker, reserve=asked.reserve
            )
        made.append(await summarise(table, turn.speaker, messages, asked, as_of))
        messages = messages.append(made[-1])
        asked = await ask(table, turn, messages, as_of, allowance)
    return asked, tuple(made)


async def _finish(
    table: Table, turn: Turn, asked: Ask, completion: Completion, transcript: Transcript
) -> Taken:
    """Parse, read and review the reply; give what is committed."""
    request = asked.request
    reader = table.kit.readers.get(turn.speaker)

    async def read() -> Reply:
        return read_reply(completion, request, reader)

    reply = await guarded(f"the reader of {turn.speaker}", read)
    check_reply(reply, completion, table.rules)
    provenance = provenance_of(asked, turn, table.profile_digest(turn.speaker), completion, reply)
    answer = table.kit.answers.get(turn.force.name, noted) if turn.force else noted
    messages = messages_of(turn, reply, provenance, completion, answer, transcript.up_to(request.turn))
    if reply.discard:
        return Taken((control(messages[-1], reply.signals or (Signal("discarded"),)),), completion.usage)
    if turn.force is not None or completion.scores is not None:
        return Taken(messages, completion.usage)
    message, asides = await review(table, messages[-1], transcript)
    if not asides.calls:
        return Taken((message,), completion.usage)
    usage = completion.usage + asides
    if message.provenance is not None:
        message = msgspec.structs.replace(
            message, provenance=msgspec.structs.replace(message.provenance, usage=usage)
        )
    return Taken((message,), usage)
