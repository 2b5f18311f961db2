"""How debates went: rounds, minds changed, agreement on what is wrong, and what perfect selection would have got."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from symposia.core.value import Count, Value

from .trial import Course, SeatAnswer, Trial


class Flips(Value, frozen=True, kw_only=True):
    """Seats that changed from right to wrong and back on the way into `round`, of those that answered before it too."""

    round: Count
    seats: Count
    right_to_wrong: Count
    wrong_to_right: Count


class Courses(Value, frozen=True, kw_only=True):
    """`n` debates that have answers. `reasons` and `flags` count how they ended and what was noted.

    `unanimous_wrong` agreed in the last round on a wrong answer. `oracle` has a right answer among those of the last
    round, `oracle_ever` in any round.
    """

    method: str
    n: Count
    rounds: Count
    reasons: tuple[tuple[str, int], ...]
    flags: tuple[tuple[str, int], ...]
    flips: tuple[Flips, ...]
    unanimous_wrong: Count
    oracle: Count
    oracle_ever: Count


def courses(method: str, trials: Sequence[Trial]) -> Courses | None:
    """Fold the debates of one method; None if it holds none."""
    went = [t.tried.course for t in trials if t.tried.course is not None]
    if not went:
        return None
    spoken = [course for course in went if course.answers]
    return Courses(
        method=method,
        n=len(spoken),
        rounds=sum(course.rounds for course in spoken),
        reasons=_counted(course.reason for course in went),
        flags=_counted(flag for course in went for flag in course.flags),
        flips=tuple(_flips(spoken, number) for number in range(2, _longest(spoken) + 1)),
        unanimous_wrong=sum(_unanimous(c.last) and c.last[0].grade != "right" for c in spoken),
        oracle=sum(any(a.grade == "right" for a in c.last) for c in spoken),
        oracle_ever=sum(any(a.grade == "right" for a in c.answers) for c in spoken),
    )


def _counted(names: Iterable[str]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(Counter(names).items()))


def _longest(spoken: Sequence[Course]) -> int:
    return max((a.round for course in spoken for a in course.answers), default=0)


def _unanimous(answers: Sequence[SeatAnswer]) -> bool:
    return len({a.key for a in answers}) == 1


def _flips(spoken: Sequence[Course], number: int) -> Flips:
    seats = lost = won = 0
    for course in spoken:
        before = {a.seat: a.grade == "right" for a in course.answers if a.round == number - 1}
        for now in course.answers:
            if now.round == number and now.seat in before:
                seats += 1
                lost += before[now.seat] and now.grade != "right"
                won += not before[now.seat] and now.grade == "right"
    return Flips(round=number, seats=seats, right_to_wrong=lost, wrong_to_right=won)
