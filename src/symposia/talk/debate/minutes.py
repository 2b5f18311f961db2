"""The minutes of a debate: listens to the conversation's events, tells the debate's own, keeps the ledger with times.

It holds the transcript so far, so that a debate can go on where an error ended the loop.
"""

from __future__ import annotations

from msgspec.structs import replace

from symposia.core.clock import Clock
from symposia.core.events import (
    Event,
    GenerationFailed,
    GenerationFinished,
    GenerationRetried,
    GenerationStarted,
    TurnDenied,
    TurnTaken,
)
from symposia.core.message import Message, Scores
from symposia.core.request import About
from symposia.core.transcript import Transcript

from .events import BeliefRead, Ruled, SeatAbstained, Tell
from .ledger import purpose_named, replaced, row_of
from .protocol import Debate
from .reading import ANSWER, BELIEF, failure_of, mark_of, rounds_of
from .rulings import ruling_of
from .values import CAPTAIN, LedgerRow, Ruling

Generation = tuple[str, int, int, str]


class Minutes:
    """An `emit`. `rows` are the attempts in the order in which they ended; `transcript` is what was committed."""

    def __init__(self, debate: Debate, transcript: Transcript, clock: Clock, tell: Tell) -> None:
        self.debate, self.transcript, self.rows = debate, transcript, list[LedgerRow]()
        self._clock, self._tell = clock, tell
        rounds = rounds_of(transcript, debate)
        self._starts = [held.start for held in rounds]
        self._ruled = {held.number for held in rounds if isinstance(ruling_of(held), Ruling)}
        self._began: dict[Generation, list[float]] = {}

    def __call__(self, event: Event) -> None:
        self._tell(event)
        match event:
            case GenerationStarted(about=about):
                self._begin(about)
            case GenerationRetried(about=about, cause=cause):
                if self._began.get(_key(about)):  # what `generate` itself repeats has failed already
                    self._lost(about, cause)
                    self._begin(about)
            case GenerationFailed(about=about, cause=cause):
                self._lost(about, cause)
            case GenerationFinished(about=about, completion=completion):
                price = self.debate.budget.prices.get(self.debate.profile_of(about.speaker).model)
                row = row_of(
                    completion.usage,
                    seat=about.speaker,
                    number=self._round(about),
                    purpose=purpose_named(about.purpose),
                    price=price,
                    ms=self._took(about),
                )
                self.rows.append(row)
            case TurnTaken(about=about, messages=messages):
                self._commit(about, messages)
            case TurnDenied(about=about, message=message):
                self._commit(about, (message,))

    def _commit(self, about: About, messages: tuple[Message, ...]) -> None:
        self.transcript = self.transcript.append(*messages)
        last = messages[-1]
        found = next((one for one in map(mark_of, messages) if one is not None), None)
        if found is None:
            return
        cause = failure_of(last)
        if cause is not None and found.purpose == ANSWER:
            self._discarded(last, cause)
            self._tell(SeatAbstained(about=about, round=found.round, seat=last.author, cause=cause))
        scores = next((part for part in last.parts if isinstance(part, Scores)), None)
        if scores is not None and found.purpose == BELIEF:
            self._tell(
                BeliefRead(
                    about=about,
                    round=found.round,
                    seat=last.author,
                    choices=scores.choices,
                    logprobs=scores.logprobs,
                )
            )
        if about.speaker == CAPTAIN and self.debate.stop == "captain" and found.round not in self._ruled:
            self._rule(about, found.round)

    def _rule(self, about: About, number: int) -> None:
        held = next(held for held in rounds_of(self.transcript, self.debate) if held.number == number)
        ruling = ruling_of(held)
        if isinstance(ruling, Ruling):
            self._ruled.add(number)
            self._tell(Ruled(about=about, ruling=ruling))

    def _discarded(self, message: Message, cause: str) -> None:
        """A reply that was read and not used: its row says why."""
        if message.provenance is None:
            return
        for at in range(len(self.rows) - 1, -1, -1):
            row = self.rows[at]
            if row.seat == message.author and row.purpose == ANSWER and row.cause is None:
                self.rows[at] = replaced(row, cause)
                return

    def _begin(self, about: About) -> None:
        if about.purpose == ANSWER and about.turn not in self._starts:
            self._starts.append(about.turn)
        self._began.setdefault(_key(about), []).append(self._clock.monotonic())

    def _lost(self, about: About, cause: str) -> None:
        purpose = purpose_named(about.purpose)
        lost = LedgerRow(seat=about.speaker, round=self._round(about), purpose=purpose, cause=cause)
        self.rows.append(replace(lost, ms=self._took(about)))

    def _round(self, about: About) -> int:
        if about.turn in self._starts:
            return self._starts.index(about.turn) + 1
        return len(self._starts)

    def _took(self, about: About) -> float:
        return round((self._clock.monotonic() - self._began[_key(about)].pop(0)) * 1000, 3)


def _key(about: About) -> Generation:
    return about.speaker, about.turn, about.call, about.purpose
