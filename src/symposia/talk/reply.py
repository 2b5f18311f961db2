"""From a completion to the message it commits: parse, label, read, finish."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from symposia.core.errors import BackendError
from symposia.core.message import (
    Asked,
    Audience,
    Message,
    Part,
    Provenance,
    Reasoning,
    Scores,
    Signal,
    Text,
    ToolCall,
    ToolResult,
)
from symposia.core.parse import parts_of
from symposia.core.receipt import GateReading
from symposia.core.request import Completion, Request
from symposia.core.transcript import Transcript

from .ask import Ask
from .protocols import Turn
from .rules import Answer, Answered, Reader, Rules


@dataclass(frozen=True, slots=True)
class Reply:
    """What a completion said, before hooks."""

    parts: tuple[Part, ...]
    notes: tuple[str, ...] = ()
    signals: tuple[Signal, ...] = ()
    discard: bool = False

    @property
    def text(self) -> str:
        return "".join([p.text for p in self.parts if isinstance(p, Text)])

    @property
    def calls(self) -> tuple[ToolCall, ...]:
        return tuple([p for p in self.parts if isinstance(p, ToolCall)])


def parse_reply(completion: Completion, request: Request) -> Reply:
    """Parts of the completion, with the speaker's own label removed."""
    return Reply(*_unlabelled(parts_of(completion, request), request.speaker))


def with_reader(reply: Reply, completion: Completion, reader: Reader) -> Reply:
    """The reply as the participant's reader makes it."""
    reading = reader(completion)
    if reading.text is None:
        return Reply(reply.parts, reply.notes, reading.signals, reading.discard)
    kept = tuple(p for p in reply.parts if not isinstance(p, Text))
    notes = (*reply.notes, "reader") if reading.text != reply.text else reply.notes
    text = (Text(reading.text),) if reading.text else ()
    return Reply((*kept, *text), notes, reading.signals, reading.discard)


def _unlabelled(parts: tuple[Part, ...], speaker: str) -> tuple[tuple[Part, ...], tuple[str, ...]]:
    for at, part in enumerate(parts):
        if isinstance(part, Text):
            head, colon, rest = part.text.lstrip().partition(":")
            if colon and head == speaker:
                return (*parts[:at], Text(rest.lstrip(" \t")), *parts[at + 1 :]), ("label_stripped",)
            break
    return parts, ()


def check_reply(reply: Reply, completion: Completion, rules: Rules) -> None:
    """Refuse what leaves no text, by cause; `BackendError` carries it to the turn."""
    says = bool(reply.text.strip()) or bool(reply.calls)
    if reply.discard or completion.scores is not None:
        return
    if completion.finish_reason == "length" and rules.on_length == "fail":
        raise BackendError(
            "the reply was cut by max_tokens; raise it, or keep cut replies (on_length)", cause="length"
        )
    if says:
        return
    if completion.finish_reason == "refusal":
        raise BackendError("the model refused and said nothing else", cause="refusal")
    if completion.finish_reason == "content_filter":
        raise BackendError("the provider's content filter left no text", cause="content_filter")
    if rules.on_empty == "fail":
        thought = any(isinstance(p, Reasoning) for p in reply.parts)
        why = "only reasoning came" if thought else "no text came"
        raise BackendError(
            f"{why} ({completion.finish_reason}); raise max_tokens or allow it (on_empty)",
            cause="empty_reply",
        )


def messages_of(
    turn: Turn, reply: Reply, provenance: Provenance, completion: Completion, answer: Answer, seen: Transcript
) -> tuple[Message, ...]:
    """The messages a reply commits: one, or a forced call with its answer. `seen` is what the turn was made from."""
    as_of = len(seen)
    if completion.scores is not None:
        scores = Scores(turn.choices, completion.scores.logprobs, completion.scores.tokens)
        return (_sampled(turn.speaker, (scores,), turn.audience, as_of, provenance),)
    if turn.force is not None and reply.calls:
        return _forced(turn, reply, provenance, answer, seen)
    return (_sampled(turn.speaker, (*reply.parts, *reply.signals), turn.audience, as_of, provenance),)


def noted(calls: Sequence[ToolCall], _turn: Turn, _seen: Transcript) -> Answered:
    """What forced calls get that nobody answers: the protocol reads them from the transcript."""
    return Answered(
        tuple(ToolResult(id=c.id, name=c.name, text=c.error or "noted", error=bool(c.error)) for c in calls)
    )


def _forced(
    turn: Turn, reply: Reply, provenance: Provenance, answer: Answer, seen: Transcript
) -> tuple[Message, ...]:
    """A forced call, its results, and what follows; `as_of` on the results marks that the trail ends the turn."""
    answered = answer(reply.calls, turn, seen)
    to_self, as_of = frozenset({turn.speaker}), len(seen)
    call = Message(
        author=turn.speaker,
        parts=reply.parts,
        audience=to_self,
        origin="sampled",
        provenance=provenance,
        as_of=as_of,
    )
    results = Message(author="tool", parts=answered.results, audience=to_self, origin="scripted", as_of=as_of)
    return call, results, *answered.messages


def _sampled(
    author: str, parts: tuple[Part, ...], audience: Audience, as_of: int, provenance: Provenance
) -> Message:
    return Message(
        author=author, parts=parts, audience=audience, origin="sampled", provenance=provenance, as_of=as_of
    )


def provenance_of(
    asked: Ask,
    turn: Turn,
    profile: str,
    completion: Completion,
    reply: Reply,
    *,
    completions: tuple[str, ...],
) -> Provenance:
    """Where a message comes from, with the ids of its text where nothing changed it.

    `completions` are the digests of the turn's completions, `completion`'s own the last.
    """
    changed = bool(reply.notes)
    return Provenance(
        profile=profile,
        request=asked.digest,
        completions=completions,
        seed=asked.request.seed,
        cue=turn.cue,
        asked=beyond(asked, turn),
        usage=completion.usage,
        finish_reason=completion.finish_reason,
        token_ids=() if changed else answer_ids(completion),
        dropped=asked.dropped,
        original=completions[-1] if changed else None,
        notes=reply.notes,
        interventions=asked.request.interventions,
        gates=_gates(asked.request, completion),
        receipts=completion.receipts,
        readouts=completion.readouts,
        activations=completion.activations,
    )


def _gates(request: Request, completion: Completion) -> tuple[GateReading, ...]:
    """What the gates of the turn's own interventions said, in order; receipts of replayed turns come before."""
    if not completion.receipts:
        return ()
    own = completion.receipts[len(completion.receipts) - len(request.interventions) :]
    return tuple(receipt.gate for receipt in own if receipt.gate is not None)


def beyond(asked: Ask, turn: Turn) -> Asked:
    """What the request had beyond profile and transcript."""
    request = asked.request
    return Asked(
        max_tokens=request.sampling.max_tokens if asked.capped else None,
        stop_after=request.stop_after,
        captures=request.captures,
        logprobs=request.logprobs,
        tools=turn.tools,
        force=turn.force,
        choices=turn.choices,
        call=asked.trail.call,
        tool_choice=request.tool_choice,
        closing=asked.trail.cue,
        own_view=turn.view is not None,
    )


def answer_ids(completion: Completion) -> tuple[int, ...]:
    """The generated ids that make the visible answer, where the backend knows them."""
    if not completion.token_ids:
        return ()
    start = len(completion.prompt_token_ids)
    own = [s for s in completion.spans if s.generated and s.phase == "answer"]
    return tuple(i for s in own for i in completion.token_ids[s.start - start : s.stop - start])
