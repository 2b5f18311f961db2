"""Events: the only thing a run log stores. The sink adds number and time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .capture import Readout
from .errors import Cause
from .message import Message
from .receipt import Receipt
from .request import About, Completion
from .usage import NOTHING, Usage
from .value import Value


class Tally(Value, frozen=True, kw_only=True):
    """What a conversation has used: turns, tokens by call, failures by cause."""

    turns: int = 0
    denied: int = 0
    usage: Usage = NOTHING
    elapsed_s: float = 0.0
    failures: tuple[tuple[Cause, int], ...] = ()


class Happening(Value, frozen=True, kw_only=True, tag_field="type"):
    """What every event has."""

    about: About = About()


class ConversationStarted(Happening, frozen=True, kw_only=True):
    """A loop was entered with a transcript of `messages` messages."""

    messages: int
    participants: tuple[str, ...]


class GenerationStarted(Happening, frozen=True, kw_only=True):
    """A request to `model` is about to be made; `request` is its digest."""

    request: str
    model: str = ""


class GenerationRetried(Happening, frozen=True, kw_only=True):
    """An attempt failed and will be repeated; listeners discard what they showed of it."""

    cause: Cause
    wait_s: float
    attempt: int


class GenerationFinished(Happening, frozen=True, kw_only=True):
    """A completion arrived."""

    completion: Completion


class GenerationFailed(Happening, frozen=True, kw_only=True):
    """A generation ended without a completion."""

    cause: Cause
    message: str


class ToolCalled(Happening, frozen=True, kw_only=True):
    """A tool is about to run. The result follows when it returned; others of the same reply run meanwhile."""

    name: str
    id: str
    arguments: dict[str, Any] = {}


class ToolReturned(Happening, frozen=True, kw_only=True):
    """A tool returned, or its error became data; `text` is what the model reads."""

    name: str
    id: str
    seconds: float
    error: bool
    text: str = ""


class ViewCut(Happening, frozen=True, kw_only=True):
    """A fit policy left message ranges [start, stop) out of a view."""

    dropped: tuple[tuple[int, int], ...]


class SummaryMade(Happening, frozen=True, kw_only=True):
    """A summary stands for messages [start, stop) in one participant's view."""

    message: Message


class HookDecided(Happening, frozen=True, kw_only=True):
    """A hook approved, denied or edited a draft."""

    hook: str
    decision: str
    note: str = ""


class TurnTaken(Happening, frozen=True, kw_only=True):
    """A turn's messages were appended, trail first; receipts and readouts are those of all its generations."""

    messages: tuple[Message, ...]
    usage: Usage = NOTHING
    receipts: tuple[Receipt, ...] = ()
    readouts: tuple[Readout, ...] = ()


class DriftCrossed(Happening, frozen=True, kw_only=True):
    """A turn went past a drift meter's limit, the speaker's turn before it being within. `z` in standard deviations."""

    speaker: str
    turn: int
    name: str
    vector: str
    z: float
    limit: float


class TurnDenied(Happening, frozen=True, kw_only=True):
    """A turn ended in a control message. `before` is what was appended before it: a tool trail, summaries."""

    message: Message
    before: tuple[Message, ...] = ()
    usage: Usage = NOTHING


class TurnLost(Happening, frozen=True, kw_only=True, tag="TurnFailed"):
    """A turn failed; nothing of it was committed."""

    cause: Cause
    message: str


class ModelMoved(Happening, frozen=True, kw_only=True):
    """A resumed run met other weights than it began with."""

    model: str
    was: str
    now: str


class ConversationStopped(Happening, frozen=True, kw_only=True):
    """The loop ended. `ok` is false when it could not do what was asked."""

    reason: str
    ok: bool
    tally: Tally


Event = (
    ConversationStarted
    | GenerationStarted
    | GenerationRetried
    | GenerationFinished
    | GenerationFailed
    | ToolCalled
    | ToolReturned
    | ViewCut
    | SummaryMade
    | HookDecided
    | TurnTaken
    | DriftCrossed
    | TurnDenied
    | TurnLost
    | ModelMoved
    | ConversationStopped
)
Emit = Callable[[Event], None]
