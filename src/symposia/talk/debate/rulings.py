"""What the captain ruled in each round, read from the transcript: the program branches on the boolean only."""

from __future__ import annotations

import math
from dataclasses import dataclass

from symposia.core.message import Scores

from .calls import Conclusion, Invalid, calls_of, read_conclusion
from .reading import Attempt, Round, attempts_at_ruling
from .values import Ruling

YES, NO = "yes", "no"
CAPTAIN_ERROR = "captain_error"
REFUSED = frozenset({"content_filter", "refusal", "invalid_request", "context_overflow", "too_large"})
"""Causes that asking again would only repeat: the neutral direction takes the ruling's place at once."""

UNREADABLE = frozenset({"empty_reply", "unreadable_choice", "length", "tool_loop"})
"""Causes that mean a reply came and said nothing."""

TRIES = 2  # a ruling and one repair


@dataclass(frozen=True, slots=True)
class Pending:
    """No ruling yet: whether the next attempt is a repair."""

    repair: bool


def ruling_of(held: Round) -> Ruling | Pending:
    """The round's ruling, or what must be asked for it."""
    attempts = list(attempts_at_ruling(held))
    for attempt in attempts:
        cause = settled(attempt)
        if cause is not None:
            return _fallback(held, len(attempts), cause)
        read = _read(attempt)
        if isinstance(read, Conclusion):
            return Ruling(
                round=held.number,
                consensus=read.consensus,
                direction=_direction(held, read),
                attempts=len(attempts),
            )
    if len(attempts) < TRIES:
        return Pending(repair=bool(attempts))
    return _fallback(held, len(attempts), "invalid")


def settled(attempt: Attempt) -> str | None:
    """The cause for which this attempt is the last, though it gave nothing: it failed, or was refused."""
    made = attempt.message.provenance
    if made is not None and made.finish_reason in ("content_filter", "refusal"):
        return made.finish_reason
    cause = attempt.failed
    if cause is None or cause in UNREADABLE:
        return None
    return cause if cause in REFUSED else CAPTAIN_ERROR


def why_invalid(attempt: Attempt) -> str:
    """What a reply lacked, as the captain is told when asked again."""
    read = read_conclusion(calls_of(attempt.message))
    return read.why if isinstance(read, Invalid) else ""


def agreement(scores: Scores) -> float:
    """P(yes) of a scored yes or no."""
    by_choice = dict(zip(scores.choices, scores.logprobs, strict=True))
    return 1 / (1 + math.exp(min(700.0, by_choice[NO] - by_choice[YES])))


def _read(attempt: Attempt) -> Conclusion | Invalid:
    scores = next((p for p in attempt.message.parts if isinstance(p, Scores)), None)
    if scores is not None:
        return Conclusion(agreement(scores) > 0.5, None)
    return read_conclusion(calls_of(attempt.message))


def _direction(held: Round, read: Conclusion) -> str | None:
    """The captain's own words; where only a yes or no was scored, those of the plain turn that followed."""
    if read.direction is not None or held.direction is None:
        return read.direction
    return held.direction[1].text


def _fallback(held: Round, attempts: int, cause: str) -> Ruling:
    direction = None if held.direction is None else held.direction[1].text
    return Ruling(round=held.number, consensus=False, direction=direction, attempts=attempts, fallback=cause)
