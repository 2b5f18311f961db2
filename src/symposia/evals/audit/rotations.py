"""A finished debate's selection again, over every rotation of its candidates: each stands once in each place.

The first rotation is the order the debate itself began with. Pure; the turns are the debate's own, so that the captain
sees what it would have seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from symposia.core.transcript import Transcript
from symposia.talk.debate import Debate
from symposia.talk.debate.board import captain_lines
from symposia.talk.debate.choosing import choice_of, labels, orders_of, shown
from symposia.talk.debate.reading import SELECT, Attempt, Round, Said, mark, mark_of, rounds_of
from symposia.talk.debate.steps import selection
from symposia.talk.debate.values import CAPTAIN
from symposia.talk.protocols import Step, Stop, Turn

from .picks import Candidate, Pick

Order = Sequence[Sequence[Said]]


@dataclass(frozen=True, slots=True)
class Rotations:
    """The protocol: every rotation's selection, side by side, after all that was said; then the end."""

    debate: Debate
    start: int
    turns: tuple[Turn, ...]

    def next(self, transcript: Transcript) -> Step:
        left = tuple(
            turn for turn in self.turns if not any(turn.took(m) for m in transcript.messages[self.start :])
        )
        return left or Stop("audited")


def rotations(transcript: Transcript, debate: Debate) -> Rotations | None:
    """The selections to repeat; None for a debate that had no choice to make, or nobody to make it."""
    orders = _orders(transcript, debate)
    if orders is None or debate.captain is None:
        return None
    rounds = rounds_of(transcript, debate)
    before = captain_lines(transcript, rounds, debate, ruled=True)
    turns = tuple(
        selection(debate, before, order, mark(SELECT, rounds[-1].number, at), len(transcript))
        for at, order in enumerate(orders)
    )
    return Rotations(debate, len(transcript), turns)


def picks_of(before: Transcript, after: Transcript, debate: Debate, name: str) -> tuple[Pick, ...]:
    """What was chosen in each rotation; `after` is `before` and the selections that were repeated."""
    orders = _orders(before, debate)
    assert orders is not None, "a debate without candidates has no rotations"
    picks = []
    for at, order in enumerate(orders):
        allowed = labels(len(order))
        label = next(
            (
                choice_of(Attempt(index, message), allowed)
                for index, message in enumerate(after.messages[len(before) :])
                if (found := mark_of(message)) is not None and found.order == at and message.author == CAPTAIN
            ),
            None,
        )
        candidates = tuple(_candidate(group, debate) for group in order)
        picks.append(
            Pick(
                debate=name,
                rotation=at,
                candidates=candidates,
                chosen=None if label is None else allowed.index(label),
            )
        )
    return tuple(picks)


def _orders(transcript: Transcript, debate: Debate) -> list[Order] | None:
    rounds = rounds_of(transcript, debate)
    complete = [held for held in rounds if len(held.answers) + len(held.lost) == len(debate.team.seats)]
    last: Round | None = complete[-1] if complete else None
    if last is None or last is not rounds[-1] or len(last.candidates) < 2:
        return None
    first = orders_of(last.candidates, debate, last.number)[0]
    return [[*first[at:], *first[:at]] for at in range(len(first))]


def _candidate(group: Sequence[Said], debate: Debate) -> Candidate:
    captain = debate.captain.model if debate.captain is not None else ""
    return Candidate(
        seat=group[0].seat,
        support=len(group),
        length=len(shown(group[0], debate.shows)),
        own_model=any(debate.profile_of(said.seat).model == captain for said in group),
    )
