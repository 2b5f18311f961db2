"""How two endings of one debate differ: the answer, what each seat came to say, and what it came to believe. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from symposia.core.transcript import Transcript
from symposia.core.value import Value
from symposia.talk.debate import Debate, DebateAnswer
from symposia.talk.debate.beliefs import beliefs_of, distance
from symposia.talk.debate.keys import group_key
from symposia.talk.debate.reading import rounds_of
from symposia.talk.debate.values import Positive


class SeatChange(Value, frozen=True, kw_only=True):
    """A seat's answer in a round, in both; None where it gave none, or where there was no such round."""

    seat: str
    round: Positive
    before: str | None
    after: str | None


class BeliefShift(Value, frozen=True, kw_only=True):
    """How far a seat's belief in a round moved, in total variation from 0 to 1."""

    seat: str
    round: Positive
    distance: float


def same_answer(before: DebateAnswer, after: DebateAnswer, debate: Debate) -> bool:
    """Whether both come to the same answer, however it is written, or both to none."""
    if before.answer is None or after.answer is None:
        return before.answer is after.answer
    return _key(before.answer, debate) == _key(after.answer, debate)


def seat_changes(before: Transcript, after: Transcript, debate: Debate) -> Iterator[SeatChange]:
    """Every seat whose answer in a round is another one now."""
    said = [_answers(transcript, debate) for transcript in (before, after)]
    for number in range(1, 1 + max((n for answers in said for n, _ in answers), default=0)):
        for seat in debate.team.names:
            old, new = (answers.get((number, seat)) for answers in said)
            if (old and old[0]) != (new and new[0]):
                yield SeatChange(seat=seat, round=number, before=old and old[1], after=new and new[1])


def belief_shifts(before: Transcript, after: Transcript, debate: Debate) -> Iterator[BeliefShift]:
    """Every seat whose belief was read in a round of both, and how far apart the two are."""
    held = [rounds_of(transcript, debate) for transcript in (before, after)]
    for number, (old, new) in enumerate(zip(*held, strict=False), start=1):
        one = beliefs_of(old, debate, held[0][:number])
        other = beliefs_of(new, debate, held[1][:number])
        for seat in one:
            if seat in other and (old.beliefs or new.beliefs):
                yield BeliefShift(seat=seat, round=number, distance=distance(one[seat], other[seat]))


def _answers(transcript: Transcript, debate: Debate) -> dict[tuple[int, str], tuple[str, str]]:
    """Key and text of what each seat answered in each round."""
    return {
        (held.number, said.seat): (said.key, said.extracted.text)
        for held in rounds_of(transcript, debate)
        for said in held.answers
    }


def _key(text: str, debate: Debate) -> str:
    return group_key(text, debate.kind, debate.options)
