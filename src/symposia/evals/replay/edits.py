"""What can be changed in a debate that was held, and the transcript from which it then goes on.

What comes before the first change is kept as it is. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from symposia.core.errors import InvalidInput, UnknownName
from symposia.core.message import Message, Text
from symposia.core.profile import Profile
from symposia.core.transcript import Transcript
from symposia.core.value import Value
from symposia.talk.debate import Debate
from symposia.talk.debate.reading import Round, mark_of, rounds_of
from symposia.talk.debate.values import Positive


class Mute(Value, frozen=True, tag_field="type", tag="mute"):
    """What the seat says in the round, or in every round, is heard by nobody else. Its vote still counts."""

    seat: str
    round: Positive | None = None


class Patch(Value, frozen=True, tag_field="type", tag="patch"):
    """The seat says this in the round instead."""

    seat: str
    round: Positive
    text: str


class Revise(Value, frozen=True, tag_field="type", tag="revise"):
    """The seat has another profile from the round on: another model, sampling or interventions."""

    seat: str
    profile: Profile
    round: Positive = 1


class Direct(Value, frozen=True, tag_field="type", tag="direct"):
    """The captain's direction after the round is this instead."""

    round: Positive
    text: str


Edit = Mute | Patch | Revise | Direct


def muted(edits: Iterable[Edit], seat: str, number: int) -> bool:
    """Whether nobody else hears what the seat says in the round."""
    return any(isinstance(e, Mute) and e.seat == seat and e.round in (None, number) for e in edits)


def patched(edits: Iterable[Edit], seat: str, number: int) -> str | None:
    """What the seat says in the round instead, if anything."""
    return next((e.text for e in edits if isinstance(e, Patch) and (e.seat, e.round) == (seat, number)), None)


def directed(edits: Iterable[Edit], number: int) -> str | None:
    """What the direction after the round is instead, if anything."""
    return next((e.text for e in edits if isinstance(e, Direct) and e.round == number), None)


def revised(debate: Debate, edits: Iterable[Edit], number: int) -> Debate:
    """The debate with the profiles its seats have in a round."""
    seats = list(debate.team.seats)
    for edit in edits:
        if isinstance(edit, Revise) and edit.round <= number:
            at = debate.team.names.index(edit.seat)
            seats[at] = replace(seats[at], profile=edit.profile)
    return replace(debate, team=replace(debate.team, seats=tuple(seats)))


def branch_point(transcript: Transcript, debate: Debate, edits: Sequence[Edit]) -> int:
    """How many messages come before the first change, and with it where what was changed stands in the transcript.

    Raises `InvalidInput` for a change of what is not there, `UnknownName` for a seat that nobody has.
    """
    rounds = rounds_of(transcript, debate)
    return min((_end(edit, debate, rounds) for edit in edits), default=len(transcript))


def branched(transcript: Transcript, debate: Debate, edits: Sequence[Edit], point: int) -> Transcript:
    """The transcript up to a branch point, changed."""
    return Transcript(tuple(_edited(m, debate, edits) for m in transcript.messages[:point]))


def _end(edit: Edit, debate: Debate, rounds: Sequence[Round]) -> int:
    if not isinstance(edit, Direct) and edit.seat not in debate.team.names:
        raise UnknownName("seat", edit.seat, debate.team.names)
    number = edit.round or 1
    if number > len(rounds):
        raise InvalidInput(
            f"round {number}: this debate has {len(rounds)}; expected one of 1 to {len(rounds)}"
        )
    held = rounds[number - 1]
    match edit:
        case Revise():
            return held.start
        case Direct():
            if held.direction is None:
                raise InvalidInput(f"round {number} ended without a direction; there is nothing to replace")
            return held.direction[0] + 1
        case Mute(round=None):
            return _spoken(held)
    if held.answer_of(edit.seat) is None:
        lost = next((lost.cause for lost in held.lost if lost.seat == edit.seat), "not asked")
        raise InvalidInput(f"{edit.seat} said nothing in round {number}: {lost}")
    return _spoken(held)


def _spoken(held: Round) -> int:
    """Where the seats' part of a round ends."""
    return 1 + max([*(said.index for said in held.answers), *(lost.index for lost in held.lost)])


def _edited(message: Message, debate: Debate, edits: Sequence[Edit]) -> Message:
    found = mark_of(message)
    if found is not None and found.purpose == "answer" and not (message.has_tools or message.is_control):
        text = patched(edits, message.author, found.round)
        if text is not None:
            message = _saying(message, text)
        if muted(edits, message.author, found.round):
            message = replace(message, audience=frozenset({message.author}))
    elif message.author not in debate.team.names and message.audience == debate.everyone and message.text:
        text = directed(edits, found.round) if found is not None else None
        if text is not None:
            message = _saying(message, text)
    return message


def _saying(message: Message, text: str) -> Message:
    """The same turn, with other words that no model said."""
    rest = tuple(part for part in message.parts if mark_of(replace(message, parts=(part,))) is not None)
    return replace(message, parts=(Text(text), *rest), origin="scripted", provenance=None)
