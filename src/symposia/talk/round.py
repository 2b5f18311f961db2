"""What a transcript says was used, and where the round under way began. Pure functions.

A round cut by a branch, a crash or a failure is completed as it began: with what its first speakers could use.
"""

from __future__ import annotations

from dataclasses import dataclass

from symposia.core.events import Tally
from symposia.core.transcript import Transcript
from symposia.core.usage import NOTHING

from .protocols import Step, Stop, TurnProtocol


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
    done = {m.author for m in transcript.messages[start:] if m.as_of == start and m.took_turn()}
    left = {turn.speaker for turn in step}
    if isinstance(whole, Stop) or done & left or done | left != {turn.speaker for turn in whole}:
        return None
    return CutRound(before, tally_of(before, elapsed_s), len(whole))


def tally_of(transcript: Transcript, elapsed_s: float = 0.0) -> Tally:
    """What a transcript says was used: turns, denials, and the usage its provenances record."""
    usage, turns, denied = NOTHING, 0, 0
    for message in transcript.messages:
        if message.provenance is not None:
            usage = usage + message.provenance.usage
        turns += message.took_turn()
        denied += message.is_control
    return Tally(turns=turns, denied=denied, usage=usage, elapsed_s=elapsed_s)
