"""One turn: view, fit, generate, parse, run calls, read, review; then all it commits, at once or not at all."""

from __future__ import annotations

from dataclasses import dataclass, replace

import msgspec

from symposia.core.errors import BackendError, Cause, ContextOverflow
from symposia.core.message import NOBODY, Message, Provenance, Signal, Text
from symposia.core.request import Completion
from symposia.core.transcript import Transcript
from symposia.core.usage import NOTHING, Usage

from .ask import Ask, Table, ask, seen
from .boundary import guarded
from .calls import Calls
from .fit import NeedsSummary
from .generate import generate
from .protocols import Turn
from .reply import Reply, check_reply, messages_of, noted, parse_reply, provenance_of, with_reader
from .review import control, review
from .rules import Reader
from .stop import Allowance
from .summary import summarise
from .trail import UNREADABLE, begun, call_message, result_message, told_apart

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
    return await _Taking(table, turn, transcript, as_of, allowance).take()


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


class _Taking:
    """A turn under way: what its next request is made from, what it will commit, in order, and what it used."""

    def __init__(
        self, table: Table, turn: Turn, transcript: Transcript, as_of: int, allowance: Allowance
    ) -> None:
        self._table, self._turn, self._transcript = table, turn, transcript
        self._as_of, self._allowance = as_of, allowance
        self._messages = seen(transcript, turn.speaker, as_of)
        self._trail = begun(turn, table.participants[turn.speaker].profile)
        self._commits: list[Message] = []
        self._completions: tuple[str, ...] = ()
        self._used = NOTHING

    async def take(self) -> Taken:
        """Generate, run what was called, generate again; until a reply calls nothing."""
        kit = self._table.kit
        async with Calls(kit.tools, kit.clock, self._table.emit) as calls:
            while True:
                asked = await self._asked()
                completion = await generate(self._table, asked.request, asked.digest)
                self._used += completion.usage
                self._completions += (completion.digest,)
                reply = parse_reply(completion, asked.request)
                if self._turn.force is not None or not reply.calls:
                    break
                await self._round(calls, asked, completion, reply)
        return await self._finish(asked, completion, reply)

    async def _asked(self) -> Ask:
        """The fitted request. Summaries that had to be made for it are committed before what it makes."""
        while isinstance(asked := await self._ask(), NeedsSummary):
            if sum(m.stands_for is not None for m in self._commits) == MOST_SUMMARIES:
                raise ContextOverflow(
                    tokens=asked.tokens,
                    limit=asked.limit,
                    speaker=self._turn.speaker,
                    reserve=asked.reserve,
                )
            told = await summarise(self._table, self._turn.speaker, self._messages, asked, self._as_of)
            self._commits.append(told)
            self._messages = self._messages.append(told)
            self._used += told.provenance.usage if told.provenance else NOTHING
        return asked

    async def _ask(self) -> Ask | NeedsSummary:
        return await ask(
            self._table, self._turn, self._messages, self._as_of, self._left(), trail=self._trail
        )

    def _left(self) -> Allowance:
        """What the turn was allowed, less what its rounds of calls used; never 0, since it must still answer."""
        most = self._allowance.max_tokens
        if most is None or not self._trail.call:
            return self._allowance
        used = sum(m.provenance.usage.output_tokens for m in self._trail.messages if m.provenance)
        return msgspec.structs.replace(self._allowance, max_tokens=max(1, most - used))

    async def _round(self, calls: Calls, asked: Ask, completion: Completion, reply: Reply) -> None:
        """Run the calls of a reply; they and their results are the trail from here on."""
        request, trail = asked.request, self._trail
        if not request.tools or request.tool_choice == "none":
            names = ", ".join(dict.fromkeys(call.name or UNREADABLE for call in reply.calls))
            raise BackendError(
                f"{request.speaker} called {names} after {trail.call} rounds of tool calls, when it was to answer; "
                "raise tool_rounds, or say in its system text when to stop",
                cause="tool_loop",
            )
        check_reply(reply, completion, self._table.rules)
        reply = replace(reply, parts=told_apart(reply.parts, trail, self._as_of))
        said = call_message(self._turn, reply.parts, self._provenance(asked, completion, reply), self._as_of)
        results = result_message(self._turn, await calls.answer(request.about, reply.calls, request.tools))
        self._commits += (said, results)
        self._trail = trail.then(said, results)

    def _provenance(self, asked: Ask, completion: Completion, reply: Reply) -> Provenance:
        digest = self._table.profile_digest(self._turn.speaker)
        made = provenance_of(asked, self._turn, digest, completion, reply, completions=self._completions)
        if asked.trail.call > 0 and asked.request.tool_choice == "none":
            made = msgspec.structs.replace(made, notes=(*made.notes, "tool_limit"))
        return msgspec.structs.replace(made, token_ids=()) if reply.calls else made

    async def _read(self, reader: Reader, completion: Completion, reply: Reply) -> Reply:
        """The reply as the participant's reader makes it."""

        async def read() -> Reply:
            return with_reader(reply, completion, reader)

        return await guarded(f"the reader of {self._turn.speaker}", read)

    async def _finish(self, asked: Ask, completion: Completion, reply: Reply) -> Taken:
        """Read and review the last reply; give what is committed, trail first."""
        table, turn = self._table, self._turn
        reader = table.kit.readers.get(turn.speaker)
        if reader is not None:
            reply = await self._read(reader, completion, reply)
        check_reply(reply, completion, table.rules)
        answer = table.kit.answers.get(turn.force.name, noted) if turn.force else noted
        before = self._transcript.up_to(asked.request.turn)
        provenance = self._provenance(asked, completion, reply)
        messages = messages_of(turn, reply, provenance, completion, answer, before)
        if reply.discard:
            messages = (control(messages[-1], reply.signals or (Signal("discarded"),)),)
        elif turn.force is None and completion.scores is None:
            message, asides = await review(table, messages[-1], self._transcript)
            messages = (message,)
            if asides.calls:
                self._used += asides
                messages = (_with_usage(message, asides),)
        return Taken(marked(turn, (*self._commits, *messages)), self._used)


def _with_usage(message: Message, asides: Usage) -> Message:
    """The message with what the hooks' own questions used added to its own."""
    made = message.provenance
    if made is None:
        return message
    return msgspec.structs.replace(
        message, provenance=msgspec.structs.replace(made, usage=made.usage + asides)
    )
