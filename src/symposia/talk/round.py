"""What a transcript says was used, and where the round under way began. Pure functions.

A round cut by a branch, a crash or a failure is completed as it began: with what its first speakers could use.
"""

from __future__ import annotations

from dataclasses import dataclass

from msgspec.structs import replace

from symposia.core.events import Tally
from symposia.core.message import Message, Signal
from symposia.core.transcript import Transcript
from symposia.core.usage import NOTHING

from .protocols import Step, Stop, Turn, TurnProtocol


@dataclass(frozen=True, slots=True)
class CutRound:
    """A round some of whose turns are taken: how things stood before it, and how many speak in it."""

    before: Transcript
    tally: Tally
    together: int


def cut_round(
    protocol: TurnProtocol, transcript: Transcript, step: Step, elapsed_s: float
) -> CutRound | None:
    """The round `step` completes; None if it begins one.

    Those who spoke since it began and those who are called on now must be just those `protocol` called on then: an
    `as_of` alone may also mean that a speaker is shown only the first messages.
    """
    if isinstance(step, Stop) or not step:
        return None
    start = step[0].as_of
    if start is None or start >= len(transcript):
        return None
    before = transcript.up_to(start)
    whole = protocol.next(before)
    if isinstance(whole, Stop):
        return None
    since = [m for m in transcript.messages[start:] if m.as_of == start and _of_a_speaker(m)]
    done = {_key(turn) for turn in whole if any(replace(turn, as_of=start).took(m) for m in since)}
    left, asked = {_key(turn) for turn in step}, {_key(turn) for turn in whole}
    if done & left or done | left != asked or {m.author for m in since} - {name for name, _ in asked}:
        return None
    return CutRound(before, tally_of(before, elapsed_s), len(whole))


def _key(turn: Turn) -> tuple[str, Signal | None]:
    return turn.speaker, turn.mark


def _of_a_speaker(message: Message) -> bool:
    return message.author != "tool" and message.stands_for is None


def tally_of(transcript: Transcript, elapsed_s: float = 0.0) -> Tally:
    """What a transcript says was used: turns, denials, and the usage its provenances record."""
    usage, turns, denied = NOTHING, 0, 0
    for message in transcript.messages:
        if message.provenance is not None:
            usage = usage + message.provenance.usage
        turns += message.took_turn()
        denied += message.is_control
    return Tally(turns=turns, denied=denied, usage=usage, elapsed_s=elapsed_s)
