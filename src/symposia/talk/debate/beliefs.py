"""What a seat holds true, read by scoring answers it could give: a turn nobody hears.

What is scored is the marker and an answer. The bare marker is scored beside them, so that its share can be taken off
where means per token are compared.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from symposia.core.message import Scores

from .extract import MARKER
from .reading import Round

if TYPE_CHECKING:
    from .protocol import Debate

MOST_CHOICES = 8
STILL = 0.05
"""Total variation, or a fall in probability, up to which a belief has not moved."""

Belief = dict[str, float]
"""Probability of each answer; they sum to 1."""


def candidates(rounds: Sequence[Round], debate: Debate) -> tuple[str, ...]:
    """What is scored: the options, or all distinct answers so far, the newest left out beyond eight."""
    if debate.options:
        return debate.options
    found: dict[str, str] = {}
    for held in rounds:
        for said in held.answers:
            found.setdefault(said.key, said.extracted.text)
    return tuple(found.values())[:MOST_CHOICES]


def continuations(choices: Sequence[str], debate: Debate) -> tuple[str, ...]:
    """The choices as a reply would begin with them; free answers after the bare marker."""
    written = tuple(f"{MARKER} {choice}" for choice in choices)
    return written if debate.options else (MARKER, *written)


def belief_of(scores: Scores) -> Belief:
    """The probabilities behind scores: softmax of sums, or of means per token where the bare marker was scored."""
    weights: dict[str, float] = {}
    counts = scores.tokens or (1,) * len(scores.choices)
    rows = dict(zip(scores.choices, zip(scores.logprobs, counts, strict=True), strict=True))
    bare, bare_tokens = rows.pop(MARKER, (0.0, 0))
    by_mean = MARKER in scores.choices
    for choice, (logprob, tokens) in rows.items():
        weights[choice.removeprefix(MARKER).strip()] = (
            (logprob - bare) / max(1, tokens - bare_tokens) if by_mean else logprob
        )
    top = max(weights.values())
    shares = {choice: math.exp(weight - top) for choice, weight in weights.items()}
    total = sum(shares.values())
    return {choice: share / total for choice, share in shares.items()}


def beliefs_of(held: Round, debate: Debate, rounds: Sequence[Round]) -> dict[str, Belief]:
    """Each seat's belief after the round; with a single thing to believe nobody needs to be asked."""
    choices = candidates(rounds, debate)
    if len(choices) == 1:
        return {said.seat: {choices[0]: 1.0} for said in held.answers}
    return {seat: belief_of(scores) for seat, scores in held.beliefs.items() if scores is not None}


def argmax(belief: Belief) -> str | None:
    """The answer held most likely; None if two are."""
    best = max(belief.values())
    top = [choice for choice, share in belief.items() if share == best]
    return top[0] if len(top) == 1 else None


def distance(one: Belief, other: Belief) -> float:
    """Total variation; what was not there to believe had probability 0."""
    return sum(abs(one.get(c, 0.0) - other.get(c, 0.0)) for c in {**one, **other}) / 2
