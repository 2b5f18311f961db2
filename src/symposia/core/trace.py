"""What was said over one served request: a line of a trace file. Read by people, by the promotion night, by replay.

Beside the messages stand the generations as they came, by the digest of what was asked: enough to answer the same ask
again, piece by piece.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec
from msgspec.structs import replace

from .message import FinishReason, Part
from .receipt import Receipt
from .redact import Redactor
from .request import About, Completion, Delta, Logprobs, Request, ServedBy, Syntax
from .served import Arm
from .usage import Usage
from .value import Count, Value

FORMAT: Literal["symposia.trace/1"] = "symposia.trace/1"
_SAID = ("answer", "refusal")


class Called(Value, frozen=True, kw_only=True):
    """A tool call of a message. `arguments` is JSON text, as it went over the wire."""

    id: str
    name: str
    arguments: str = "{}"


class Said(Value, frozen=True, kw_only=True, omit_defaults=True):
    """A message as it stood on the wire; only what it had is written."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | None = None
    name: str | None = None
    reasoning_content: str | None = None
    refusal: str | None = None
    tool_calls: tuple[Called, ...] = ()
    tool_call_id: str | None = None


class Answered(Value, frozen=True, kw_only=True):
    """What the caller got: of several choices, the first."""

    message: Said
    finish_reason: str | None = None


class Flags(Value, frozen=True, kw_only=True):
    """What was wrong with it: kind of degenerate text, code of the error; `slow` past the server's own line."""

    degenerate: str | None = None
    error: str | None = None
    slow: bool = False


class Feedback(Value, frozen=True, kw_only=True):
    """What somebody thought of the reply."""

    name: str
    score: float | None = None
    comment: str = ""


class Piece(Value, frozen=True, array_like=True):
    """One delta: milliseconds since the request went to the backend, its text, its phase or that it refuses."""

    at_ms: float
    text: str
    phase: Literal["answer", "reasoning", "tool", "refusal"] = "answer"

    @property
    def delta(self) -> Delta:
        """The delta it was made of, but for token ids."""
        if self.phase == "refusal":
            return Delta(text=self.text, refusal=True)
        return Delta(text=self.text, phase=self.phase)


class Generation(Value, frozen=True, kw_only=True, omit_defaults=True):
    """One generation as it came. `ask` is `ask_digest` of its request, `seed` the request's.

    The pieces spell the text: all of them, or the answer's where there are `parts`. `ended_ms` as the pieces' times.
    """

    ask: str
    seed: int = 0
    pieces: tuple[Piece, ...] = ()
    ended_ms: float = 0.0
    parts: tuple[Part, ...] = ()
    syntax: Syntax = "plain"
    opens_thinking: bool = False
    finish_reason: FinishReason
    usage: Usage
    logprobs: Logprobs | None = None
    receipts: tuple[Receipt, ...] = ()
    served: ServedBy

    @property
    def text(self) -> str:
        """What `Completion.text` was."""
        return "".join(piece.text for piece in self.pieces if piece.phase in _SAID or not self.parts)

    @property
    def completion(self) -> Completion:
        """The completion it was made of, but for token ids, spans and what was captured."""
        return Completion(
            text=self.text,
            parts=self.parts,
            syntax=self.syntax,
            opens_thinking=self.opens_thinking,
            finish_reason=self.finish_reason,
            usage=self.usage,
            logprobs=self.logprobs,
            receipts=self.receipts,
            served=self.served,
        )


class Trace(Value, frozen=True, kw_only=True):
    """One served request. `time` is when it came, in seconds since the epoch; `messages` are as the caller gave them.

    `unit_hash` is all that is kept of who asked. `status` is HTTP's, which a stream had before it failed. `generations`
    are one a choice, those that ended with a completion. `redactions` counts what was taken out of the line before it
    was written.
    """

    format: Literal["symposia.trace/1"] = FORMAT
    trace_id: str
    request_id: str
    time: float
    conversation: str = ""
    unit_hash: str = ""
    key: str = ""
    model: str
    profile: str = "none"
    revision: str = ""
    arm: Arm = "none"
    canary: str = ""
    messages: tuple[Said, ...]
    status: Count = 200
    response: Answered | None = None
    usage: Usage | None = None
    latency_ms: float
    ttft_ms: float | None = None
    flags: Flags = Flags()
    receipts: tuple[Receipt, ...] = ()
    seed: int | None = None
    generations: tuple[Generation, ...] = ()
    feedback: tuple[Feedback, ...] = ()
    redactions: Count = 0


def ask_digest(request: Request) -> str:
    """Names what was asked, of whatever model, whenever, with whatever seed: those are not the caller's words."""
    sampling = replace(request.sampling, seed=None)
    asked = replace(
        request, model="", sampling=sampling, seed=0, seed_required=False, date=None, about=About()
    )
    return asked.digest


def generation(
    request: Request, heard: Sequence[tuple[float, Delta]], completion: Completion, ended_ms: float
) -> Generation:
    """The record of a generation; `heard` are its deltas, each with its milliseconds since the request was made."""
    return Generation(
        ask=ask_digest(request),
        seed=request.seed,
        pieces=tuple(
            Piece(at_ms, delta.text, "refusal" if delta.refusal else delta.phase) for at_ms, delta in heard
        ),
        ended_ms=ended_ms,
        parts=completion.parts,
        syntax=completion.syntax,
        opens_thinking=completion.opens_thinking,
        finish_reason=completion.finish_reason,
        usage=completion.usage,
        logprobs=completion.logprobs,
        receipts=completion.receipts,
        served=completion.served,
    )


def redacted(trace: Trace, redactor: Redactor) -> Trace:
    """The line without what the redactor knows, wherever a secret was cut into pieces; `redactions` says how often."""
    whole = replace(
        trace, generations=tuple(replace(g, pieces=_redacted(g.pieces, redactor)) for g in trace.generations)
    )
    clean = msgspec.convert(redactor.value(msgspec.to_builtins(whole)), Trace)
    return replace(clean, redactions=max(0, _marks(clean) - _marks(trace)))


def _redacted(pieces: tuple[Piece, ...], redactor: Redactor) -> tuple[Piece, ...]:
    """Pieces of one phase are read as one text; what is held back until it is certain comes with a later piece."""
    for phase in sorted({piece.phase for piece in pieces}):
        text = "".join(piece.text for piece in pieces if piece.phase == phase)
        if redactor.text(text) == text:
            continue
        stream, last = redactor.stream(), max(i for i, piece in enumerate(pieces) if piece.phase == phase)
        pieces = tuple(
            piece
            if piece.phase != phase
            else replace(piece, text=stream.feed(piece.text.encode()) + (stream.flush() if i == last else ""))
            for i, piece in enumerate(pieces)
        )
    return pieces


def _marks(trace: Trace) -> int:
    return msgspec.json.encode(trace).count(b"[redacted:")
