"""A message: one contribution by an author, in typed parts, to an audience."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta

from .capture import ActivationRef, Capture, Readout
from .errors import InvalidInput
from .intervention import Intervention
from .receipt import GateReading, Receipt
from .span import Origin
from .toolspec import ToolSpec
from .usage import Usage
from .value import Count, Value

FinishReason = Literal["stop", "stop_string", "length", "tool_calls", "content_filter", "refusal"]
Audience = frozenset[str] | None
NOBODY: frozenset[str] = frozenset()


class Text(Value, frozen=True, tag_field="type", tag="text"):
    """Words everybody in the audience can read."""

    text: str


class Reasoning(Value, frozen=True, tag_field="type", tag="reasoning"):
    """A model's thinking. `opaque` is a provider's signed or redacted form, sent back unchanged."""

    text: str
    opaque: str | None = None


class ToolCall(Value, frozen=True, kw_only=True, tag_field="type", tag="tool_call"):
    """A call a model made. `error` says why it could not be read; then `arguments` is empty."""

    id: str
    name: str
    arguments: dict[str, Any] = {}
    error: str = ""


class ToolResult(Value, frozen=True, kw_only=True, tag_field="type", tag="tool_result"):
    """What a call returned, or its error as text for the model."""

    id: str
    name: str
    text: str
    error: bool = False
    truncated: bool = False


class Signal(Value, frozen=True, tag_field="type", tag="signal"):
    """A control record; never rendered."""

    name: str
    note: str = ""


class Scores(Value, frozen=True, tag_field="type", tag="scores"):
    """Summed log-probabilities of given continuations, and their token counts if known; never rendered."""

    choices: tuple[str, ...]
    logprobs: tuple[float, ...]
    tokens: tuple[Count, ...] = ()

    def __post_init__(self) -> None:
        if len(self.choices) != len(self.logprobs):
            raise InvalidInput(
                f"expected {len(self.choices)} logprobs, one a choice; got {len(self.logprobs)}"
            )
        if self.tokens and len(self.tokens) != len(self.choices):
            raise InvalidInput(
                f"expected {len(self.choices)} token counts, one a choice; got {len(self.tokens)}"
            )


Part = Text | Reasoning | ToolCall | ToolResult | Signal | Scores


_OF_A_TRAIL = (ToolCall, ToolResult)


class Asked(Value, frozen=True, kw_only=True):
    """What a turn's request had beyond its profile and the transcript: with those, enough to rebuild it.

    `call` counts the rounds of tool calls before it in the same turn; `closing` is the cue after the last of them.
    """

    max_tokens: int | None = None
    stop_after: tuple[str, ...] = ()
    captures: tuple[Capture, ...] = ()
    logprobs: int | None = None
    tools: tuple[str, ...] | None = None
    force: ToolSpec | None = None
    choices: tuple[str, ...] = ()
    call: Count = 0
    tool_choice: Literal["auto", "none"] = "auto"
    closing: str = ""
    own_view: bool = False


class Provenance(Value, frozen=True, kw_only=True):
    """How a sampled message came to be; outside the transcript's digest, without times.

    `completions` are all of its turn up to this one, in order: a message that followed tool calls names theirs too.
    Everything else is of the message's own completion; each message of a tool trail has its own.

    `token_ids` are the ids of the message's whole visible text, so that it can be shown again without
    tokenising. `dropped` are message ranges the fit left out. `original` names the completion a hook or
    reader changed.
    """

    profile: str
    request: str
    completions: tuple[str, ...]
    seed: int
    cue: str
    usage: Usage
    finish_reason: FinishReason
    token_ids: tuple[Count, ...] = ()
    asked: Asked = Asked()
    dropped: tuple[tuple[Count, Count], ...] = ()
    edited_by: tuple[str, ...] = ()
    original: str | None = None
    notes: tuple[str, ...] = ()
    interventions: tuple[Intervention, ...] = ()
    gates: tuple[GateReading, ...] = ()
    receipts: tuple[Receipt, ...] = ()
    readouts: tuple[Readout, ...] = ()
    activations: tuple[ActivationRef, ...] = ()


class Message(Value, frozen=True, kw_only=True):
    """`audience`: None is everyone; names are they and the author; empty is nobody (a control message).

    `as_of` is the length of the transcript the speaker saw. `stands_for` marks a summary of messages [start,
    stop).
    """

    author: Annotated[str, Meta(min_length=1)]
    parts: tuple[Part, ...]
    audience: Audience = None
    origin: Origin = "given"
    provenance: Provenance | None = None
    as_of: Count | None = None
    stands_for: tuple[Count, Count] | None = None

    def __post_init__(self) -> None:
        if self.stands_for and self.stands_for[0] >= self.stands_for[1]:
            raise InvalidInput(f"stands_for {self.stands_for}: expected start < stop")

    @property
    def text(self) -> str:
        """The visible text, its parts joined."""
        return "".join([part.text for part in self.parts if isinstance(part, Text)])

    @property
    def has_tools(self) -> bool:
        """Whether the message belongs to a tool trail."""
        for part in self.parts:  # noqa: SIM110 - asked of every message in every view; a generator takes twice as long
            if isinstance(part, _OF_A_TRAIL):
                return True
        return False

    @property
    def is_control(self) -> bool:
        """Whether nobody, not even the author, may read it."""
        return self.audience == NOBODY

    def heard_by(self, name: str) -> bool:
        """Whether `name` may see the message."""
        if self.audience is None:
            return True
        return bool(self.audience) and (name in self.audience or name == self.author)

    def is_turn(self) -> bool:
        """Whether the message took a turn: no trail or summary, not hidden from all, not simply put there."""
        return self.audience != NOBODY and self.took_turn()

    def took_turn(self) -> bool:
        """Whether a protocol counts it: a turn message, or a control message standing for one."""
        if self.audience == NOBODY:
            return True
        placed = self.origin == "given" and self.as_of is None
        return not (placed or self.stands_for or self.has_tools)


def said(author: str, text: str, audience: Audience = None, *, origin: Origin = "given") -> Message:
    """A message of one text part."""
    return Message(author=author, parts=(Text(text),), audience=audience, origin=origin)
