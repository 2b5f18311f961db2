"""A debate that goes on under changes: the same protocol, its turns and answers changed as they come. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from symposia.core.message import Message, Text, ToolCall
from symposia.core.transcript import Transcript
from symposia.talk.debate import Debate
from symposia.talk.debate.calls import answers_for
from symposia.talk.debate.reading import ANSWER, DIRECTION, Mark, mark_of
from symposia.talk.protocols import Step, Stop, Turn
from symposia.talk.rules import Answer, Answered

from .edits import Edit, directed, muted, patched

PAUSED = "paused"


@dataclass(frozen=True, slots=True)
class Edited:
    """`debate` under `edits`, up to the round `until`: there it pauses, since profiles change."""

    debate: Debate
    edits: tuple[Edit, ...]
    until: int | None = None

    def next(self, transcript: Transcript) -> Step:
        step = self.debate.next(transcript)
        if isinstance(step, Stop):
            return step
        if self.until is not None and any(self._is_of_later_round(turn) for turn in step):
            return Stop(PAUSED)
        return tuple(self._changed(turn) for turn in step)

    def _is_of_later_round(self, turn: Turn) -> bool:
        found = mark_of_turn(turn)
        return found is not None and found.purpose == ANSWER and found.round >= (self.until or 0)

    def _changed(self, turn: Turn) -> Turn:
        found = mark_of_turn(turn)
        if found is None:
            return turn
        if found.purpose == DIRECTION:
            text = directed(self.edits, found.round)
            return turn if text is None else _saying(turn, text)
        if found.purpose == ANSWER:
            text = patched(self.edits, turn.speaker, found.round)
            turn = turn if text is None else _saying(turn, text)
            if muted(self.edits, turn.speaker, found.round):
                turn = replace(turn, audience=frozenset({turn.speaker}))
        return turn


def edited_answers(debate: Debate, edits: Sequence[Edit]) -> Mapping[str, Answer]:
    """What the debate's forced tools answer under changes: another direction is published where one was."""
    answers = dict(answers_for(debate))
    conclude = answers["conclude"]

    def directed_conclude(calls: Sequence[ToolCall], turn: Turn, seen: Transcript) -> Answered:
        answered = conclude(calls, turn, seen)
        found = mark_of_turn(turn)
        text = directed(edits, found.round) if found is not None else None
        if text is None or not answered.messages:
            return answered
        said = (replace(m, parts=(Text(text),), origin="scripted") for m in answered.messages)
        return Answered(answered.results, tuple(said))

    return {**answers, "conclude": directed_conclude}


def mark_of_turn(turn: Turn) -> Mark | None:
    """The mark that the turn's messages will carry, read."""
    return None if turn.mark is None else mark_of(Message(author=turn.speaker, parts=(turn.mark,)))


def _saying(turn: Turn, text: str) -> Turn:
    return replace(turn, say=text, view=None, tools=None, force=None, choices=())
