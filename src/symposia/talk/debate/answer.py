"""What a debate's transcript came to. Pure: any journal can be read again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from symposia.core.message import Message
from symposia.core.transcript import Transcript

from .choosing import Chosen, choose
from .flags import flags_of
from .reading import DIRECTION, Round, failure_of, mark_of, rounds_of
from .rulings import ruling_of
from .steps import End, decide
from .values import DebateAnswer, LedgerRow, Purpose, Ruling, Status

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
    read = proceedings(transcript, debate)
    ledger = ledger_of(transcript, debate)
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


def ledger_of(transcript: Transcript, debate: Debate) -> tuple[LedgerRow, ...]:
    """A row for each turn that was asked of a model, in the order of the transcript, without times."""
    return tuple(_rows(transcript, debate))


def _rows(transcript: Transcript, debate: Debate) -> Iterator[LedgerRow]:
    for message in transcript.messages:
        found = mark_of(message)
        if found is None or message.author not in debate.names:
            continue
        purpose = purpose_of(found.purpose, message)
        made = message.provenance
        if made is not None:
            used = made.usage
            yield LedgerRow(
                seat=message.author,
                round=found.round,
                purpose=purpose,
                prompt_tokens=used.input_tokens,
                cached_tokens=used.cached_tokens,
                completion_tokens=used.output_tokens,
                reasoning_tokens=used.reasoning_tokens,
                cost=None if used.cost_usd is None else str(used.cost_usd),
                estimated=used.estimated,
                cause=failure_of(message),
            )
        elif failure_of(message) is not None:
            yield LedgerRow(
                seat=message.author, round=found.round, purpose=purpose, cause=failure_of(message)
            )


def purpose_of(name: str, message: Message | None = None) -> Purpose:
    """The ledger's word for what a turn was for."""
    if message is not None and message.has_tools and name == "answer":
        return "tool"
    match name:
        case "answer" | "tool" | "select" | "repair" | "belief":
            return name
        case _ if name in ("ruling", DIRECTION):
            return "ruling"
    return "answer"
