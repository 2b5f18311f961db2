"""How a conversation is run (`Rules`, plain values) and the live things it may use (`Kit`)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from symposia.core.capture import Capture
from symposia.core.clock import Clock, SystemClock
from symposia.core.drift import DriftMeter
from symposia.core.events import Tally
from symposia.core.message import Message, Signal, ToolCall, ToolResult
from symposia.core.request import About, Completion, Delta
from symposia.core.transcript import Transcript
from symposia.core.usage import Price
from symposia.core.value import Value

from .fit import Fail, Fit
from .hooks import Hook
from .protocols import Stop, Turn
from .seeds import SeedKey
from .stop import Drifted, StopCondition, conditions
from .tools import ToolBox
from .view import ViewRules


class Reading(Value, frozen=True, kw_only=True):
    """What a reader made of a reply; no `text` keeps the reply's. `discard` commits a control message instead."""

    text: str | None = None
    signals: tuple[Signal, ...] = ()
    discard: bool = False


BARE_DATE = "2025-01-01"
Reader = Callable[[Completion], Reading]
Summariser = Callable[[Sequence[Message], int], Awaitable[str]]
Listen = Callable[[About, Delta], None]


@dataclass(frozen=True, slots=True)
class Answered:
    """What a forced tool's calls get: a result for each, in their order, and messages that follow them."""

    results: tuple[ToolResult, ...]
    messages: tuple[Message, ...] = ()


Answer = Callable[[Sequence[ToolCall], Turn, Transcript], Answered]
"""Answers all calls of one reply to a forced tool; pure. The transcript is what the turn saw."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rules:
    """What decides how turns are taken; nothing here holds state.

    `seed_key` names the conversation's random streams: its first element is the root seed. `captures` and `logprobs`
    are asked for on every turn, what `meters` read on the turns of those they watch. `purpose` is what turns without
    a mark are for.
    """

    until: StopCondition | None = None
    view: ViewRules = ViewRules()
    fit: Fit = Fail()
    seed_key: SeedKey = (0,)
    run: str = ""
    conversation: str = ""
    branch: str = ""
    purpose: str = "turn"
    date: str | None = BARE_DATE
    on_empty: Literal["fail", "keep"] = "fail"
    on_length: Literal["keep", "fail"] = "keep"
    captures: tuple[Capture, ...] = ()
    logprobs: int | None = None
    meters: tuple[DriftMeter, ...] = ()

    @property
    def metered(self) -> tuple[DriftMeter, ...]:
        """The meters asked for, and those a stop condition watches."""
        if self.until is None:
            return self.meters
        watched = (one.meter for one in conditions(self.until) if isinstance(one, Drifted))
        return tuple(dict.fromkeys((*self.meters, *watched)))

    def captures_of(self, speaker: str) -> tuple[Capture, ...]:
        """What is captured on a speaker's turns."""
        meters = self.metered
        if not meters:
            return self.captures
        read = (capture for meter in meters if meter.watches(speaker) for capture in meter.captures)
        return tuple(dict.fromkeys((*self.captures, *read)))


@dataclass(frozen=True, kw_only=True, slots=True)
class Kit:
    """Live helpers of a run: hooks, a reply reader a participant, summarisers, prices by model, a clock, a listener.

    `tools` runs what profiles offer. `answers` answers the calls of forced tools, by tool name; others are noted.
    """

    hooks: tuple[Hook, ...] = ()
    readers: Mapping[str, Reader] = field(default_factory=dict)
    summarisers: Mapping[str, Summariser] = field(default_factory=dict)
    prices: Mapping[str, Price] = field(default_factory=dict)
    clock: Clock = field(default_factory=SystemClock)
    listen: Listen | None = None
    answers: Mapping[str, Answer] = field(default_factory=dict)
    tools: ToolBox = field(default_factory=ToolBox)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a loop ended: the whole transcript, the reason, and what was used."""

    transcript: Transcript
    stop: Stop
    tally: Tally
