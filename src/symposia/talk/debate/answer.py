"""What a debate's transcript came to. Pure: any journal can be read again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from symposia.core.transcript import Transcript

from .choosing import Chosen, choose
from .flags import flags_of
from .ledger import ledger_of
from .reading import Round, rounds_of
from .rulings import ruling_of
from .steps import End, decide
from .values import DebateAnswer, LedgerRow, Ruling, Status

if TYPE_CHECKING:
    from .protocol import Debate


@dataclass(frozen=True, slots=True)
class Proceedings:
    """A debate read from its transcript: its rounds, how it ended if it has, and the answer chosen."""

    rounds: tuple[Round, ...]
    end: End | None
    chosen: Chosen | None

    @property
    def last(self) -> Round | None:
        """The round an answer was, or would be, taken from."""
        return self.rounds[-1] if self.rounds else None

    @property
    def rulings(self) -> tuple[Ruling, ...]:
        """What the captain said of each round."""
        read = (ruling_of(held) for held in self.rounds if held.rulings)
        return tuple(one for one in read if isinstance(one, Ruling))


def proceedings(transcript: Transcript, debate: Debate) -> Proceedings:
    """The debate so far."""
    rounds = tuple(rounds_of(transcript, debate))
    step = decide(debate, transcript, rounds)
    if not isinstance(step, End) or not step.answered:
        return Proceedings(rounds, step if isinstance(step, End) else None, None)
    return Proceedings(rounds, step, choose(rounds[-1], debate, by_vote=step.by_vote))


def read_answer(transcript: Transcript, debate: Debate) -> DebateAnswer:
    """The answer, how it was reached and what it cost. A debate that has not ended has status `error`, `unfinished`."""
    return answer_of(proceedings(transcript, debate), debate, ledger_of(transcript, debate))


def answer_of(read: Proceedings, debate: Debate, ledger: tuple[LedgerRow, ...]) -> DebateAnswer:
    """The answer of proceedings, with a ledger."""
    end, chosen = read.end, read.chosen
    reason = "unfinished" if end is None else end.reason
    flags = flags_of(read.rounds, debate, reason)
    if chosen is None or read.last is None:
        return DebateAnswer(
            status=_status(reason), reason=reason, rounds=len(read.rounds), flags=flags, ledger=ledger
        )
    groups = read.last.groups
    return DebateAnswer(
        status="answered",
        reason=reason,
        answer=chosen.said.extracted.text,
        seat=chosen.said.seat,
        round=read.last.number,
        rounds=len(read.rounds),
        support=tuple((group[0].extracted.text, len(group)) for group in groups),
        flags=flags,
        ledger=ledger,
    )


def _status(reason: str) -> Status:
    """The status of a debate that has no answer."""
    return "budget" if reason == "budget" else "no_quorum" if reason == "no_quorum" else "error"
