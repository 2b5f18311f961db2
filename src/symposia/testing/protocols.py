"""Conformance of a turn protocol: it is a pure function of the transcript, and it moves on."""

from __future__ import annotations

import copy
from collections.abc import Iterable

from symposia.core.message import NOBODY, Message, Signal, Text
from symposia.core.transcript import Transcript
from symposia.talk.protocols import Step, Stop, Turn, TurnProtocol

from .expect import expect


def check_protocol(
    protocol: TurnProtocol, transcripts: Iterable[Transcript], *, stops_within: int | None = None
) -> None:
    """Assert that `protocol` is pure and makes progress from each of `transcripts`.

    Pure: the same step whenever and in whatever order it is asked, from a copy of itself, and from the transcript's
    stored form. Progress: a simultaneous round that was cut asks for just the missing speakers, with the same `as_of`;
    a round that was taken, or denied, is not asked for again. `stops_within`: it stops after at most that many turns,
    taken or denied. Raises `AssertionError` naming the broken promise.
    """
    given = tuple(transcripts)
    first = [protocol.next(t) for t in given]
    again = [protocol.next(t) for t in reversed(given)][::-1]
    for transcript, step, later in zip(given, first, again, strict=True):
        where = f"after {len(transcript)} messages"
        expect(step == later, f"pure: {where} it said {step!r}, then {later!r}")
        stored = Transcript.decode(transcript.encode())
        other = copy.deepcopy(protocol).next(stored)
        expect(step == other, f"pure: {where} it said {step!r}, but from the stored transcript {other!r}")
        _well_formed(step, where)
        _moves_on(protocol, transcript, step, where)
        if stops_within is not None:
            for denied in (False, True):
                _stops(protocol, transcript, stops_within, denied=denied)


def played(
    transcript: Transcript, turns: Iterable[Turn], *, text: str = "…", denied: bool = False
) -> Transcript:
    """The transcript after these turns were taken, each saying `text`, or denied."""
    at = len(transcript)
    return transcript.append(
        *(
            Message(
                author=turn.speaker,
                parts=(Signal("denied"),) if denied else (Text(turn.say or text),),
                audience=NOBODY if denied else turn.audience,
                origin="scripted",
                as_of=at if turn.as_of is None else turn.as_of,
            )
            for turn in turns
        )
    )


def _well_formed(step: Step, where: str) -> None:
    if isinstance(step, Stop):
        expect(bool(step.reason), f"{where} it stopped without a reason")
        return
    expect(bool(step), f"{where} it gave no turns; expected at least one, or Stop(reason)")
    speakers = [turn.speaker for turn in step]
    expect(len(set(speakers)) == len(speakers), f"{where} it called on a speaker twice: {speakers}")


def _moves_on(protocol: TurnProtocol, transcript: Transcript, step: Step, where: str) -> None:
    if isinstance(step, Stop):
        return
    for denied in (False, True):
        after = protocol.next(played(transcript, step, denied=denied))
        how = "denied" if denied else "taken"
        asked_again = after == step and any(turn.as_of is not None for turn in step)
        expect(not asked_again, f"progress: {where} it asked again for the turns that were {how}: {step!r}")
        if len(step) > 1:
            rest = protocol.next(played(transcript, step[:1], denied=denied))
            missing = None if isinstance(rest, Stop) else [(turn.speaker, turn.as_of) for turn in rest]
            wanted = [(turn.speaker, turn.as_of) for turn in step[1:]]
            expect(
                missing == wanted,
                f"progress: {where} the first turn was {how}; expected the rest, {wanted}; got {missing}",
            )


def _stops(protocol: TurnProtocol, transcript: Transcript, most: int, *, denied: bool) -> None:
    start = len(transcript)
    while not isinstance(step := protocol.next(transcript), Stop):
        transcript = played(transcript, step, denied=denied)
        taken = len(transcript) - start
        how = "denied" if denied else "taken"
        expect(
            taken <= most, f"progress: {taken} turns {how} after {start} messages, and no Stop within {most}"
        )
