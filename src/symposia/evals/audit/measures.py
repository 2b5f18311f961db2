"""Measures of a captain's choices over all rotations. Pure; each says over how many choices or pairs it was taken.

A captain that only reads what answers say chooses every place equally often, and the same answer in every rotation.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import combinations, groupby

from symposia.core.value import Count, Value
from symposia.evals.statistics.goodness import ChiSquare, chi_square
from symposia.evals.statistics.ranks import spearman

from .picks import Candidate, Pick


class Position(Value, frozen=True, kw_only=True):
    """How often each place was chosen, how often it would be by chance, and whether the two fit."""

    chosen: tuple[Count, ...]
    expected: tuple[float, ...]
    test: ChiSquare | None
    n: Count


class Share(Value, frozen=True, kw_only=True):
    """A share of `n`; None of none. `chance` is what an indifferent choice would give, where that is known."""

    share: float | None
    n: Count
    chance: float | None = None


class Correlation(Value, frozen=True, kw_only=True):
    """Spearman's rank correlation over `n` candidates; None where nothing varies."""

    rho: float | None
    n: Count


class Audit(Value, frozen=True, kw_only=True):
    """All measures of a run's selections. `unreadable` selections named no candidate and count nowhere else.

    `flips`: of two rotations of one debate, how often the choices differ. `length`: of a candidate's length and how
    often it was chosen, both beside the debate's mean; `length_at_equal_support` among answers of as many seats.
    `plurality`: choices of an answer that most seats gave, where one answer has more seats than another. `own_model`:
    choices of an answer from the captain's own model, where there are others.
    """

    debates: Count
    selections: Count
    unreadable: Count
    position: Position
    flips: Share
    length: Correlation
    length_at_equal_support: Correlation
    plurality: Share
    own_model: Share


def audit(picks: Sequence[Pick]) -> Audit:
    """The measures of these selections."""
    read = [pick for pick in picks if pick.chosen is not None]
    together = list(_by_debate(read))
    return Audit(
        debates=len({pick.debate for pick in picks}),
        selections=len(picks),
        unreadable=len(picks) - len(read),
        position=position(read),
        flips=flips(together),
        length=_correlation(pair for debate in together for pair in _lengths(debate)),
        length_at_equal_support=_correlation(
            pair for debate in together for support in _supports(debate) for pair in _lengths(debate, support)
        ),
        plurality=plurality(read),
        own_model=own_model(read),
    )


def position(read: Sequence[Pick]) -> Position:
    """Picks by place. Debates differ in their numbers of candidates, so each pick expects its own share of a place."""
    places = max((len(pick.candidates) for pick in read), default=0)
    counts = Counter(pick.chosen for pick in read)
    chosen = tuple(counts[place] for place in range(places))
    expected = tuple(
        sum(1 / len(pick.candidates) for pick in read if place < len(pick.candidates))
        for place in range(places)
    )
    test = chi_square(chosen, expected) if places > 1 else None
    return Position(chosen=chosen, expected=expected, test=test, n=len(read))


def flips(together: Sequence[Sequence[Pick]]) -> Share:
    """How often two rotations of one debate are answered differently."""
    pairs = [(a.taken, b.taken) for debate in together for a, b in combinations(debate, 2)]
    return _share([one != other for one, other in pairs])


def plurality(read: Sequence[Pick]) -> Share:
    """Choices of an answer with the most seats, where not all have as many; by chance, the share of such answers."""
    decided = [pick for pick in read if len({c.support for c in pick.candidates}) > 1]
    most = [max(c.support for c in pick.candidates) for pick in decided]
    hits = [pick.taken is not None and pick.taken.support == n for pick, n in zip(decided, most, strict=True)]
    by_chance = [
        sum(c.support == n for c in pick.candidates) / len(pick.candidates)
        for pick, n in zip(decided, most, strict=True)
    ]
    return _share(hits, by_chance)


def own_model(read: Sequence[Pick]) -> Share:
    """Choices of an answer behind which the captain's own model stands, where there are both kinds."""
    mixed = [pick for pick in read if len({c.own_model for c in pick.candidates}) > 1]
    hits = [pick.taken is not None and pick.taken.own_model for pick in mixed]
    return _share(hits, [sum(c.own_model for c in pick.candidates) / len(pick.candidates) for pick in mixed])


def _by_debate(read: Sequence[Pick]) -> Iterator[list[Pick]]:
    ordered = sorted(read, key=lambda pick: pick.debate)
    yield from (list(picks) for _, picks in groupby(ordered, key=lambda pick: pick.debate))


def _supports(picks: Sequence[Pick]) -> list[int]:
    return sorted({c.support for c in picks[0].candidates})


def _lengths(picks: Sequence[Pick], support: int | None = None) -> Iterator[tuple[float, float]]:
    """Of each candidate, its length and how often it was chosen, both less the mean of those it stands beside."""
    beside = [c for c in picks[0].candidates if support in (None, c.support)]
    if len(beside) < 2:
        return
    counts: Counter[Candidate | None] = Counter(pick.taken for pick in picks)
    length = sum(c.length for c in beside) / len(beside)
    rate = sum(counts[c] for c in beside) / len(beside)
    yield from ((c.length - length, counts[c] - rate) for c in beside)


def _correlation(pairs: Iterator[tuple[float, float]]) -> Correlation:
    both = list(pairs)
    return Correlation(rho=spearman([x for x, _ in both], [y for _, y in both]), n=len(both))


def _share(hits: Sequence[bool], by_chance: Sequence[float] = ()) -> Share:
    n = len(hits)
    return Share(
        share=sum(hits) / n if n else None, n=n, chance=sum(by_chance) / n if n and by_chance else None
    )
