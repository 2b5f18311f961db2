"""A participant chooses who speaks next, by text, by a forced tool call, or by scored choices.

An answer is read at the next call, from the transcript alone. What cannot be read is asked again with the names quoted;
there is never a default name.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta

from symposia.core.errors import InvalidInput
from symposia.core.message import Message, Scores, ToolCall
from symposia.core.toolspec import ToolSpec
from symposia.core.transcript import Transcript

from .protocols import Rule, Speakers, Step, Stop, Turn

TOOL = "next_speaker"
STOP = "stop"


class Moderated(Rule, frozen=True, kw_only=True, tag="moderated"):
    """`moderator` (a participant) answers the cue `ask` to itself, then the chosen one speaks, for `turns` turns."""

    moderator: str
    speakers: Speakers
    ask: str = "Who should speak next?"
    turns: Annotated[int, Meta(ge=1)]
    by: Literal["text", "force", "choices"] = "text"
    may_stop: bool = True
    asks: Annotated[int, Meta(ge=1)] = 3

    def __post_init__(self) -> None:
        if self.moderator in self.speakers:
            raise InvalidInput(f"moderated: {self.moderator!r} chooses and cannot be among the speakers")
        folded = [s.casefold() for s in self.speakers]
        if len(set(folded)) != len(folded) or (self.may_stop and STOP in folded):
            raise InvalidInput(
                f"moderated: speakers must differ by more than case, and none may be called {STOP!r}"
            )

    @property
    def names(self) -> tuple[str, ...]:
        return (self.moderator, *self.speakers)

    @property
    def answers(self) -> tuple[str, ...]:
        """What the moderator may choose."""
        return (*self.speakers, STOP) if self.may_stop else self.speakers

    def next(self, transcript: Transcript) -> Step:
        taken, asked = 0, list[str | None]()
        for message in transcript.messages:
            if message.author in self.speakers and message.took_turn():
                taken, asked = taken + 1, []
            elif self._answers_ask(message):
                asked.append(self.read(message))
        if taken >= self.turns:
            return Stop(f"moderated: {self.turns} turns")
        choice = asked[-1] if asked else None
        if choice == STOP and self.may_stop:
            return Stop("moderated: stop")
        if choice is not None:
            return (Turn(speaker=choice),)
        if len(asked) >= self.asks:
            return Stop("unreadable_choice", ok=False)
        return (self._ask(again=bool(asked)),)

    def read(self, message: Message) -> str | None:
        """The choice an answer states, or None if it states none."""
        match self.by:
            case "text":
                last = message.text.strip().splitlines()[-1:]
                key, _, name = "".join(last).partition(":")
                return self._known(name) if key.strip().casefold() == "next" else None
            case "force":
                calls = [
                    p for p in message.parts if isinstance(p, ToolCall) and p.name == TOOL and not p.error
                ]
                return self._known(str(calls[0].arguments.get("name", ""))) if len(calls) == 1 else None
            case "choices":
                scores = next((p for p in message.parts if isinstance(p, Scores)), None)
                best = max(scores.logprobs, default=None) if scores else None
                if scores is None or best is None or scores.logprobs.count(best) > 1:
                    return None  # a tie is no choice
                return self._known(scores.choices[scores.logprobs.index(best)])

    def _known(self, name: str) -> str | None:
        folded = name.strip().casefold()
        return next((a for a in self.answers if a.casefold() == folded), None)

    def _answers_ask(self, message: Message) -> bool:
        if message.author != self.moderator:
            return False
        return message.took_turn() or any(isinstance(p, ToolCall) and p.name == TOOL for p in message.parts)

    def _ask(self, *, again: bool) -> Turn:
        names = ", ".join(self.answers)
        how = f"End with a line `NEXT: name`, where name is one of: {names}."
        cue = self.ask if self.by != "text" else f"{self.ask} {how}"
        if again:
            cue = (
                f"That could not be read. {cue}"
                if self.by == "text"
                else f"That could not be read; the names are: {names}. {cue}"
            )
        return Turn(
            speaker=self.moderator,
            cue=cue,
            audience=frozenset({self.moderator}),
            force=self._tool() if self.by == "force" else None,
            choices=self.answers if self.by == "choices" else (),
        )

    def _tool(self) -> ToolSpec:
        parameters: dict[str, Any] = {
            "type": "object",
            "properties": {"name": {"type": "string", "enum": list(self.answers)}},
            "required": ["name"],
            "additionalProperties": False,
        }
        return ToolSpec(name=TOOL, description="Choose who speaks next.", parameters=parameters)
