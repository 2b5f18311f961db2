"""Choosing one of the seats' answers, verbatim: the captain's choice over shuffled orders, or the vote.

An unreadable choice is no choice, never the first candidate.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

from symposia.core.message import Scores
from symposia.core.value import Value

from .calls import Choice, calls_of, read_choice
from .keys import LETTERS
from .reading import Attempt, Round, Said, attempts_at_choice
from .rulings import REFUSED, UNREADABLE

if TYPE_CHECKING:
    from .protocol import Debate

Method = Literal["unanimous", "captain", "vote"]
Tiebreak = Literal["choice", "team_order"]


class Selection(Value, frozen=True, kw_only=True):
    """How the answer was chosen. `orders` are seats as shown, `choices` the seat named in each order, or None."""

    method: Method
    orders: tuple[tuple[str, ...], ...] = ()
    choices: tuple[str | None, ...] = ()
    tiebreak: Tiebreak | None = None


@dataclass(frozen=True, slots=True)
class Chosen:
    """The answer, by its first seat in team order, and how it came to be that one."""

    said: Said
    selection: Selection


def orders_of(groups: Sequence[Sequence[Said]], debate: Debate, number: int) -> list[list[Sequence[Said]]]:
    """The orders in which candidates are shown: a seeded shuffle and its reverse, then others.

    The shuffle ranks each candidate by a hash of its own, so it does not depend on who sits where.
    """
    orders: list[list[Sequence[Said]]] = []
    for at in range(debate.orders):
        shuffled = sorted(groups, key=lambda group: _rank(debate.seed, number, at // 2, group[0].key))
        orders.append(shuffled if at % 2 == 0 else shuffled[::-1])
    return orders


def candidates_json(order: Sequence[Sequence[Said]], shows: Literal["answer", "full"]) -> str:
    """The labelled candidates of one order, without names."""
    entries = [
        {"label": label, "answer": shown(group[0], shows)}
        for label, group in zip(LETTERS, order, strict=False)
    ]
    return json.dumps(entries, ensure_ascii=False, separators=(",", ":"))


def shown(said: Said, shows: Literal["answer", "full"]) -> str:
    """What a candidate shows of itself."""
    return said.message.text.strip() if shows == "full" else said.extracted.text


def labels(count: int) -> tuple[str, ...]:
    """The labels of that many candidates."""
    return tuple(LETTERS[:count])


def choice_of(attempt: Attempt, allowed: Sequence[str]) -> str | None:
    """The label a reply names; None if it names none of them, or two."""
    scores = next((p for p in attempt.message.parts if isinstance(p, Scores)), None)
    if scores is not None:
        best = [
            c
            for c, logprob in zip(scores.choices, scores.logprobs, strict=True)
            if logprob == max(scores.logprobs)
        ]
        return best[0] if len(best) == 1 and best[0] in allowed else None
    read = read_choice(calls_of(attempt.message), allowed)
    return read.choice if isinstance(read, Choice) else None


def repairable(attempt: Attempt, allowed: Sequence[str]) -> bool:
    """Whether asking once more could make it a choice: a reply came, and it named nothing."""
    if choice_of(attempt, allowed) is not None or any(isinstance(p, Scores) for p in attempt.message.parts):
        return False
    made = attempt.message.provenance
    if made is not None and made.finish_reason in ("content_filter", "refusal"):
        return False
    return attempt.failed is None or attempt.failed in UNREADABLE - REFUSED


def choose(held: Round, debate: Debate, *, by_vote: bool) -> Chosen:
    """The answer of a complete round whose selection, if any, is done."""
    groups = held.groups
    if len(groups) == 1:
        return Chosen(groups[0][0], Selection(method="unanimous"))
    if by_vote:
        return _vote(groups, ())
    orders = orders_of(held.candidates, debate, held.number)
    named: list[Said | None] = []
    for number, order in enumerate(orders):
        label = None
        for attempt in attempts_at_choice(held, number):
            label = label or choice_of(attempt, labels(len(order)))
        named.append(None if label is None else order[LETTERS.index(label)][0])
    shown_as = tuple(tuple(group[0].seat for group in order) for order in orders)
    seats = tuple(None if one is None else one.seat for one in named)
    first = named[0] if named else None
    if first is not None and all(one is not None and one.seat == first.seat for one in named):
        return Chosen(first, Selection(method="captain", orders=shown_as, choices=seats))
    voted = _vote(groups, [one for one in named if one is not None])
    selection = Selection(method="vote", orders=shown_as, choices=seats, tiebreak=voted.selection.tiebreak)
    return Chosen(voted.said, selection)


def _vote(groups: Sequence[Sequence[Said]], named: Sequence[Said]) -> Chosen:
    """Most seats; among equals the only one a choice named, else the first in team order."""
    most = max(len(group) for group in groups)
    tied = [group for group in groups if len(group) == most]
    if len(tied) == 1:
        return Chosen(tied[0][0], Selection(method="vote"))
    seats = {one.seat for one in named}
    picked = [group for group in tied if group[0].seat in seats]
    if len(picked) == 1:
        return Chosen(picked[0][0], Selection(method="vote", tiebreak="choice"))
    return Chosen(tied[0][0], Selection(method="vote", tiebreak="team_order"))


@lru_cache(maxsize=4096, typed=True)
def _rank(seed: int, number: int, shuffle: int, key: str) -> bytes:
    return hashlib.sha256(json.dumps([seed, number, shuffle, key]).encode()).digest()
