"""Small live rules a facade call needs: given turns, a first speaker before the rest, one more limit."""

from __future__ import annotations

from dataclasses import dataclass

from symposia.core.events import Tally
from symposia.core.transcript import Transcript

from .protocols import Step, Stop, Turn, TurnProtocol
from .stop import Allowance, Share, StopCondition


@dataclass(frozen=True, slots=True)
class Given:
    """These turns on a transcript of `at` messages, then stop."""

    turns: tuple[Turn, ...]
    at: int

    def next(self, transcript: Transcript) -> Step:
        return self.turns if len(transcript) == self.at else Stop("given turns taken")


@dataclass(frozen=True, slots=True)
class FirstThen:
    """`first` speaks on a transcript of `at` messages, whoever spoke last; then the protocol goes on."""

    first: str
    at: int
    then: TurnProtocol

    def next(self, transcript: Transcript) -> Step:
        return (Turn(speaker=self.first),) if len(transcript) == self.at else self.then.next(transcript)


@dataclass(frozen=True, slots=True)
class Either:
    """Two stop conditions, one of which may be live: stops when one holds, allows the smaller."""

    a: StopCondition
    b: StopCondition

    def check(self, transcript: Transcript, tally: Tally) -> str | None:
        return self.a.check(transcript, tally) or self.b.check(transcript, tally)

    def allowance(self, transcript: Transcript, tally: Tally, share: Share) -> Allowance:
        return self.a.allowance(transcript, tally, share) & self.b.allowance(transcript, tally, share)
