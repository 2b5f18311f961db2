"""Every error the product raises on purpose: what was expected, what came, what to do.

The tree is small and closed. A failure during a run has a cause from `Cause`, so that reports can count
without reading text.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from .request import Completion
    from .transcript import Transcript

TransientCause = Literal[
    "rate_limited",
    "timeout",
    "connection",
    "server_error",
    "stream_truncated",
    "bad_response",
    "breaker_open",
]
DeterministicCause = Literal[
    "auth",
    "not_found",
    "invalid_request",
    "quota_exhausted",
    "context_overflow",
    "content_filter",
    "unsupported",
    "template",
    "too_large",
]
ModelCause = Literal["empty_reply", "refusal", "tool_loop", "unreadable_choice", "length"]
OurCause = Literal["hook_error", "engine_error", "cancelled"]
Cause = TransientCause | DeterministicCause | ModelCause | OurCause


class SymposiaError(Exception):
    """Root of every deliberate error."""


class InvalidInput(SymposiaError, ValueError):
    """A value is outside what its field allows; nothing was run."""


class UnknownName(InvalidInput):
    """A name that must already exist does not; the message lists the valid ones."""

    def __init__(self, kind: str, got: str, valid: Iterable[str]) -> None:
        known = sorted(valid)
        near = get_close_matches(got, known, n=1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        super().__init__(
            f"unknown {kind} {got!r}; expected one of {', '.join(known) or '(none exist)'}{hint}"
        )
        self.kind, self.got, self.valid = kind, got, tuple(known)


class UnknownModel(InvalidInput):
    """A model address resolves to nothing; the message lists the nearest known names."""


class InvalidIntervention(InvalidInput):
    """An intervention or capture contradicts itself or the model's shape."""


class UnsupportedFormat(InvalidInput):
    """A file is of another format, a newer version, or holds an unknown field."""

    def __init__(self, *, expected: str, got: str, path: str = "") -> None:
        where = f"{path}: " if path else ""
        super().__init__(f"{where}expected {expected}; got {got}")
        self.expected, self.got, self.path = expected, got, path


class NotSerialisable(InvalidInput):
    """A live value cannot be stored; name it in `without` to save the rest."""

    def __init__(self, field: str, why: str) -> None:
        super().__init__(f"{field} cannot be saved: {why}; pass without=({field!r},) to leave it out")
        self.field, self.why = field, why


class UnexpandedScenario(InvalidInput):
    """A scenario with data fields was run before `expand` filled them."""


class ProtocolError(SymposiaError):
    """A turn protocol returned something the loop cannot honour."""


class ConversationBusy(SymposiaError):
    """The same conversation is already generating."""


class UnsupportedRequest(SymposiaError):
    """The backend cannot honour a feature the request needs. Raised before any I/O."""

    def __init__(self, *, endpoint: str, model: str, feature: str, way_out: str, why: str = "") -> None:
        because = f": {why}" if why else ""
        super().__init__(f"{endpoint} cannot honour {feature!r} for {model}{because}; {way_out}")
        self.endpoint, self.model, self.feature, self.way_out = endpoint, model, feature, way_out


class VectorNotFound(UnsupportedRequest):
    """An intervention names a vector digest that no library in reach holds."""


class EmptySelection(UnsupportedRequest):
    """A selector over given tokens matches none of them."""


class SiteUnsupported(UnsupportedRequest):
    """The model has no such site or layer, or its load-time self-test did not pass there."""


class ContextOverflow(SymposiaError):
    """Prompt plus reserve exceed the context window; nothing was cut."""

    def __init__(
        self, *, tokens: int, limit: int, speaker: str, reserve: int = 0, largest: tuple[str, ...] = ()
    ) -> None:
        rest = f" (largest lines: {'; '.join(largest)})" if largest else ""
        super().__init__(
            f"{speaker}'s prompt has {tokens} tokens and {reserve} are reserved for the reply; "
            f"the limit is {limit}{rest}; "
            "shorten the text, lower max_tokens, or choose a fit policy (drop_oldest, window, summarise)"
        )
        self.tokens, self.limit, self.speaker, self.reserve, self.largest = (
            tokens,
            limit,
            speaker,
            reserve,
            largest,
        )


class TemplateError(SymposiaError):
    """A chat template loses or repeats a line, or the tokenizer has no template at all."""


class ArchitectureNotUnderstood(SymposiaError):
    """A model's modules do not have the shape their family promises."""


class InterventionNotApplied(SymposiaError):
    """Planned and counted writes disagree; the result must not be believed."""


class SelectionMissed(SymposiaError):
    """A selector met no token. The finished completion is inside, so nothing is lost."""

    def __init__(self, message: str, completion: Completion) -> None:
        super().__init__(message)
        self.completion = completion


class BackendError(SymposiaError):
    """A generation failed at the endpoint or in the engine, after any retries."""

    def __init__(
        self,
        message: str,
        *,
        cause: Cause,
        status: int | None = None,
        code: str = "",
        kind: str = "",
        retry_after_s: float | None = None,
        request_id: str = "",
        attempts: int = 1,
    ) -> None:
        super().__init__(message)
        self.cause: Cause = cause
        self.status, self.code, self.kind, self.retry_after_s = status, code, kind, retry_after_s
        self.request_id, self.attempts = request_id, attempts


class NotKept(SymposiaError):
    """What was generated cannot be stored. The run stops: going on would lose it. Resumable once there is room."""


class StoreUnreachable(SymposiaError):
    """The database behind a store did not answer, or cannot be written. Nothing is known to be kept."""


class TurnFailed(SymposiaError):
    """A turn left no text. Everything committed before it is in `transcript`."""

    def __init__(
        self, message: str, *, cause: Cause, speaker: str, turn: int, transcript: Transcript
    ) -> None:
        super().__init__(f"{speaker}, turn {turn}: {cause}: {message}")
        self.cause: Cause = cause
        self.speaker, self.turn, self.transcript = speaker, turn, transcript
