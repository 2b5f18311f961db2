"""What `symposia debate --json` prints, and what its exit code says."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from symposia.cli.exits import DONE, ENDPOINT, FAILED
from symposia.core.errors import TransientCause
from symposia.core.value import Count, Value
from symposia.talk.debate import LedgerRow, Ruling
from symposia.talk.debate.answer import Proceedings
from symposia.talk.debate.choosing import Selection
from symposia.talk.debate.hold import Held
from symposia.talk.debate.ledger import Totals, totals

THEIRS = frozenset({*TransientCause.__args__, "quota_exhausted"})  # type: ignore[attr-defined]
"""Causes that pass: the same command later may do better."""


class AnswerReport(Value, frozen=True, kw_only=True):
    """A seat's finished answer of a round."""

    round: Count
    answer: str
    marker: bool
    truncated: bool


class AbstentionReport(Value, frozen=True, kw_only=True):
    """A round in which a seat gave none."""

    round: Count
    cause: str


class SeatReport(Value, frozen=True, kw_only=True):
    """A seat through all rounds."""

    name: str
    model: str
    answers: tuple[AnswerReport, ...]
    abstained: tuple[AbstentionReport, ...]


class LedgerReport(Value, frozen=True, kw_only=True):
    """Sums, and the attempts they are of."""

    totals: Totals
    rows: tuple[LedgerRow, ...]


class BaselineReport(Value, frozen=True, kw_only=True):
    """What a plainer method answered to the same question, and what it used."""

    method: str
    model: str
    answer: str | None
    calls: Count
    tokens: Count
    cost: str | None = None
    cause: str | None = None


class DebateReport(Value, frozen=True, kw_only=True):
    """The whole result, version 1 of its schema. `baselines` are those that were asked for."""

    schema: int = 1
    answer: str | None
    status: str
    reason: str
    rounds: Count
    seat: str | None
    support: tuple[tuple[str, int], ...]
    flags: tuple[str, ...]
    seats: tuple[SeatReport, ...]
    rulings: tuple[Ruling, ...]
    selection: Selection | None
    ledger: LedgerReport
    baselines: tuple[BaselineReport, ...] = ()

    def encode(self) -> bytes:
        """JSON, keys in the order of the fields, with a line end."""
        return msgspec.json.encode(self) + b"\n"


def report(held: Held, baselines: Sequence[BaselineReport] = ()) -> DebateReport:
    """The result of a debate that is over."""
    read, answer = held.proceedings, held.answer
    return DebateReport(
        answer=answer.answer,
        status=answer.status,
        reason=answer.reason,
        rounds=answer.rounds,
        seat=answer.seat,
        support=answer.support,
        flags=answer.flags,
        seats=tuple(_seat(name, held, read) for name in held.debate.team.names),
        rulings=read.rulings,
        selection=None if read.chosen is None else read.chosen.selection,
        ledger=LedgerReport(totals=totals(answer.ledger), rows=answer.ledger),
        baselines=tuple(baselines),
    )


def exit_of(done: DebateReport) -> int:
    """0 answered; 3 if every seat of the last round was lost to something that passes; 1 otherwise."""
    if done.status == "answered":
        return DONE
    lost = [one.cause for seat in done.seats for one in seat.abstained if one.round == done.rounds]
    down = len(lost) == len(done.seats) and all(cause in THEIRS for cause in lost)
    return ENDPOINT if done.status == "no_quorum" and down else FAILED


def _seat(name: str, held: Held, read: Proceedings) -> SeatReport:
    said = [(played.number, one) for played in read.rounds if (one := played.answer_of(name))]
    lost = [(played.number, one) for played in read.rounds for one in played.lost if one.seat == name]
    return SeatReport(
        name=name,
        model=held.debate.profile_of(name).model,
        answers=tuple(
            AnswerReport(
                round=number,
                answer=one.extracted.text,
                marker=one.extracted.marker,
                truncated=one.extracted.truncated,
            )
            for number, one in said
        ),
        abstained=tuple(AbstentionReport(round=number, cause=one.cause) for number, one in lost),
    )
