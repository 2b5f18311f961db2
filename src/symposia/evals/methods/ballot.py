"""The vote of independent samples, and what a set of them used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from symposia.core.usage import NOTHING
from symposia.evals.scorecard.trial import Tried

from .method import Ran
from .samples import Sample


def plurality(samples: Sequence[Sample]) -> Sample | None:
    """The earliest sample with the most frequent answer; ties go to the earliest.

    Answers that cannot be read have no vote; only where none can, the earliest that said something stands. None where
    nothing was said.
    """
    votes = Counter(s.key for s in samples if s.key is not None)
    if votes:
        most = max(votes.values())
        return next(s for s in samples if s.key is not None and votes[s.key] == most)
    return next((s for s in samples if s.extracted is not None and not s.cause), None)


def ran(used: Sequence[Sample], chosen: Sample | None, *, overdraw: int = 0) -> Ran:
    """A method's result: the words of the chosen sample; without one, why the first has none."""
    answer = None if chosen is None or chosen.extracted is None else chosen.extracted.text
    failed = bool(used) and all(s.failed for s in used)
    read = [s.extracted for s in used if s.extracted is not None]
    tried = Tried(
        answer=answer,
        cause="" if answer is not None or not used else used[0].cause,
        failed=failed,
        usage=sum((s.usage for s in used), NOTHING),
        unpriced=sum(s.unpriced for s in used),
        marker_missing=sum(not one.marker for one in read),
        truncated=sum(one.truncated for one in read),
        samples=len(used),
        overdraw=overdraw,
    )
    return Ran(tried, tuple(request for s in used for request in s.requests))
