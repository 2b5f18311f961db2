"""Small live rules a facade call needs: given turns, a first speaker before the rest, one more limit."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass

from symposia.core.events import Tally
from symposia.core.transcript import Transcript

from .protocols import Step, Stop, Turn, TurnProtocol
from .stop import FREE, Allowance, Share, StopCondition

Test = Callable[[Transcript, Tally], str | None]


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

    @property
    def inner(self) -> tuple[StopCondition, ...]:
        """Both of them."""
        return self.a, self.b

    def check(self, transcript: Transcript, tally: Tally) -> str | None:
        return self.a.check(transcript, tally) or self.b.check(transcript, tally)

    def allowance(self, transcript: Transcript, tally: Tally, share: Share) -> Allowance:
        return self.a.allowance(transcript, tally, share) & self.b.allowance(transcript, tally, share)


@dataclass(frozen=True, slots=True)
class When:
    """A plain function as a stop condition: it gives the reason to stop, or None. Live, so no file can hold it."""

    test: Test

    def check(self, transcript: Transcript, tally: Tally) -> str | None:
        return self.test(transcript, tally)

    def allowance(self, transcript: Transcript, tally: Tally, share: Share) -> Allowance:
        return FREE


def as_condition(until: StopCondition | Test | None) -> StopCondition | None:
    """A condition as it is; a function as `When`."""
    if until is None or not inspect.isroutine(until):
        return until  # type: ignore[return-value]  # what is no function is a condition
    return When(until)
