"""A turn's tool loop as values: what was called and returned so far, and whether more may be called."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import msgspec

from symposia.core.errors import InvalidInput
from symposia.core.message import Message, Part, Provenance, ToolCall, ToolResult
from symposia.core.profile import Profile
from symposia.core.transcript import Transcript

from .protocols import Turn

UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class Trail:
    """The calls and results of one turn before its next generation, number `call`.

    `rounds` more may follow with calls; with none left, the generation may call nothing and reads `closing`.
    """

    messages: tuple[Message, ...] = ()
    call: int = 0
    rounds: int = 0
    closing: str = ""

    @property
    def tool_choice(self) -> Literal["auto", "none"]:
        """What the next generation may do."""
        return "auto" if self.rounds > 0 else "none"

    @property
    def cue(self) -> str:
        """The instruction after the newest result."""
        return "" if self.rounds > 0 else self.closing

    def then(self, call: Message, results: Message) -> Trail:
        """The trail after one more round."""
        return replace(
            self, messages=(*self.messages, call, results), call=self.call + 1, rounds=self.rounds - 1
        )


def begun(turn: Turn, profile: Profile) -> Trail:
    """Before a turn's first generation."""
    rounds = profile.tool_rounds if turn.tool_rounds is None else turn.tool_rounds
    return Trail(rounds=rounds, closing=turn.closing)


def call_message(turn: Turn, parts: tuple[Part, ...], provenance: Provenance, as_of: int) -> Message:
    """A reply that calls tools: only its speaker sees it."""
    return Message(
        author=turn.speaker,
        parts=parts,
        audience=frozenset({turn.speaker}),
        origin="sampled",
        provenance=provenance,
        as_of=as_of,
    )


def result_message(turn: Turn, results: tuple[ToolResult, ...]) -> Message:
    """What the calls of one reply returned."""
    return Message(author="tool", parts=results, audience=frozenset({turn.speaker}), origin="scripted")


def told_apart(parts: Sequence[Part], trail: Trail, as_of: int) -> tuple[Part, ...]:
    """The parts with an id of its own for each call: providers refuse a conversation in which two are the same.

    An id that came with the call stays; a parser's number, or one that was there before, is replaced.
    """
    known = {p.id for m in trail.messages for p in m.parts if isinstance(p, ToolCall)}
    out: list[Part] = []
    for part in parts:
        if isinstance(part, ToolCall):
            place = len([p for p in out if isinstance(p, ToolCall)])
            numbered = part.id in ("", f"call_{place}") or part.id in known
            name = f"call_{as_of}_{trail.call}_{place}" if numbered else part.id
            part = msgspec.structs.replace(part, id=name, name=part.name or UNREADABLE)
            known.add(name)
        out.append(part)
    return tuple(out)


def trail_before(transcript: Transcript, index: int) -> Trail:
    """The trail that led to the sampled message `index`, as its provenance tells it."""
    message = transcript[index]
    asked = message.provenance.asked if message.provenance else None
    if asked is None:
        return Trail()
    found: list[Message] = []
    left, at = asked.call, index
    while left and at:
        at -= 1
        earlier = transcript[at]
        if earlier.has_tools:
            found.append(earlier)
            left -= earlier.author == message.author
        elif earlier.stands_for is None:
            break
    if left:
        raise InvalidInput(
            f"message {index} by {message.author!r} followed {asked.call} rounds of tool calls, "
            f"of which {left} are not in this transcript"
        )
    rounds = 0 if asked.tool_choice == "none" else 1
    return Trail(tuple(reversed(found)), call=asked.call, rounds=rounds, closing=asked.closing)
