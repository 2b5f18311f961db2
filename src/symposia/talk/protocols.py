"""Who speaks next. Pure functions of the transcript: no I/O, no memory, no clock.

The transcript is the state, so a first run, a resume, a branch and a replay are the same call.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, Protocol

from msgspec import Meta

from symposia.core.errors import InvalidInput, ProtocolError
from symposia.core.lines import Line
from symposia.core.message import Audience, Message, Signal
from symposia.core.toolspec import ToolSpec
from symposia.core.transcript import Transcript
from symposia.core.value import Value

Speakers = Annotated[tuple[str, ...], Meta(min_length=1)]
Index = Annotated[int, Meta(ge=0)]


class Turn(Value, frozen=True, kw_only=True):
    """Permission to speak. `say` is a scripted text that needs no call; `cue` is an instruction for this turn only.

    `as_of` shows the speaker only the first messages. `view`, `tools`, `force` and `choices` override what the profile
    would give. After `tool_rounds` rounds of calls (the profile's unless given) one generation follows that may call
    nothing, with `closing` as its cue. `mark` goes with whatever message the turn commits, so that a protocol finds it
    again; it names the generation's purpose and, in place of the transcript's length, its random stream, so it must
    say which round it is of; and it lets one speaker take several turns of a round. A turn that fails with
    `on_failure="abstain"` commits a control message, `Signal("failed", cause)`, and its round goes on; what the
    backend refuses as it stands is raised all the same.
    """

    speaker: str
    cue: str = ""
    audience: Audience = None
    as_of: int | None = None
    say: str | None = None
    view: tuple[Line, ...] | None = None
    tools: tuple[str, ...] | None = None
    force: ToolSpec | None = None
    choices: tuple[str, ...] = ()
    tool_rounds: Index | None = None
    closing: str = ""
    mark: Signal | None = None
    on_failure: Literal["stop", "abstain"] = "stop"

    def took(self, message: Message) -> bool:
        """Whether `message` is what this turn committed, or a part of it."""
        return (
            message.author == self.speaker
            and message.as_of == self.as_of
            and (self.mark is None or self.mark in message.parts)
        )


class Stop(Value, frozen=True):
    """The protocol is done; `ok` is false when it could not do what it promised."""

    reason: str
    ok: bool = True


Step = tuple[Turn, ...] | Stop


class TurnProtocol(Protocol):
    """Pure: the same transcript gives the same step."""

    def next(self, transcript: Transcript) -> Step:
        """The turns to take now, side by side if several, or the reason to stop."""
        ...


class Rule(Value, frozen=True, kw_only=True, tag_field="type"):
    """Base of the protocols that can be saved."""

    @property
    def names(self) -> tuple[str, ...]:
        """Every participant the protocol may call on."""
        raise NotImplementedError

    def next(self, transcript: Transcript) -> Step:
        raise NotImplementedError


class Once(Rule, frozen=True, kw_only=True, tag="once"):
    """One turn: stops if the newest message is already the speaker's."""

    speaker: str

    @property
    def names(self) -> tuple[str, ...]:
        return (self.speaker,)

    def next(self, transcript: Transcript) -> Step:
        if transcript.messages and _took_turn(transcript.messages[-1], (self.speaker,)):
            return Stop("once")
        return (Turn(speaker=self.speaker),)


class RoundRobin(Rule, frozen=True, kw_only=True, tag="round_robin"):
    """The next in the ring after the last listed author, whose message may be given; none yet: `first`.

    `audience="next"` lets only the successor hear. Stops after `turns` turns, if set.
    """

    speakers: Speakers
    turns: Annotated[int, Meta(ge=1)] | None = None
    first: str | None = None
    audience: Literal["all", "next"] = "all"

    def __post_init__(self) -> None:
        _distinct(self.speakers)
        if self.first is not None and self.first not in self.speakers:
            raise InvalidInput(
                f"round_robin: first is {self.first!r}; expected one of {', '.join(self.speakers)}"
            )

    @property
    def names(self) -> tuple[str, ...]:
        return self.speakers

    def next(self, transcript: Transcript) -> Step:
        messages, turns = transcript.messages, self.turns
        if turns is not None and turns <= len(messages) and len(_turns(transcript, self.speakers)) >= turns:
            return Stop(f"round_robin: {turns} turns")
        newest = next((m.author for m in reversed(messages) if _spoke(m, self.speakers)), None)
        speaker = (self.first or self.speakers[0]) if newest is None else self._after(newest)
        return (
            Turn(
                speaker=speaker,
                audience=frozenset({self._after(speaker)}) if self.audience == "next" else None,
            ),
        )

    def _after(self, name: str) -> str:
        return self.speakers[(self.speakers.index(name) + 1) % len(self.speakers)]


class Rounds(Rule, frozen=True, kw_only=True, tag="rounds"):
    """Simultaneous rounds: all speak from one view; a cut round is completed from that same view."""

    speakers: Speakers
    rounds: Annotated[int, Meta(ge=1)]
    since: Index = 0

    def __post_init__(self) -> None:
        _distinct(self.speakers)

    @property
    def names(self) -> tuple[str, ...]:
        return self.speakers

    def next(self, transcript: Transcript) -> Step:
        taken = _turns(transcript, self.speakers, self.since)
        views = list(dict.fromkeys(m.as_of for m in taken))
        if views:
            done = {m.author for m in taken if m.as_of == views[-1]}
            missing = [s for s in self.speakers if s not in done]
            if missing:
                return tuple(Turn(speaker=s, as_of=views[-1]) for s in missing)
        if len(views) >= self.rounds:
            return Stop(f"rounds: {self.rounds}")
        return tuple(Turn(speaker=s, as_of=len(transcript)) for s in self.speakers)


def check_step(step: Step, roster: Sequence[str], moderator: str) -> Step:
    """The step, if the loop can honour it; `ProtocolError` says what it cannot."""
    if isinstance(step, Stop):
        return step
    if not step:
        raise ProtocolError("the protocol gave no turns; expected at least one, or Stop(reason)")
    seen: set[tuple[str, Signal | None]] = set()
    for turn in step:
        may_speak = turn.speaker in roster or (turn.say is not None and turn.speaker in (moderator, "system"))
        if not may_speak:
            raise ProtocolError(f"the protocol called on {turn.speaker!r}; the roster is {', '.join(roster)}")
        if (turn.speaker, turn.mark) in seen:
            raise ProtocolError(
                f"the protocol called on {turn.speaker!r} twice in one round; give the turns marks that differ"
            )
        seen.add((turn.speaker, turn.mark))
    return step


def _distinct(speakers: Sequence[str]) -> None:
    if len(set(speakers)) != len(speakers):
        raise InvalidInput(f"speakers must be distinct; got {', '.join(speakers)}")


def _spoke(message: Message, names: Sequence[str]) -> bool:
    return message.author in names and not message.has_tools and message.stands_for is None


def _took_turn(message: Message, names: Sequence[str]) -> bool:
    return message.author in names and message.took_turn()


def _turns(transcript: Transcript, names: Sequence[str], since: int = 0) -> list[Message]:
    return [m for m in transcript.messages[since:] if m.author in names and m.took_turn()]
