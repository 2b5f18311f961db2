"""From rows to columns: means by prompt, their bootstrap, and the choice of a scale. Pure."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

import torch

from .values import AnswerRow, Choice, Column, Kind, Response, Row, SampleRow

DRAWS = 2000
SALAD = 3.0
"""How many times the base's surprisal makes a salad."""

_MORE_DEGENERATE = 0.1
_ROUNDING = 1e-4  # the same text, read in another batch, differs by less
_ORDER: tuple[Kind, ...] = ("base", "prompt", "vector", "wrong_sign", "random", "matched")


@dataclass(frozen=True)
class Base:
    """What the unsteered samples say: concept by prompt and seed, mean surprisal a token."""

    concept: dict[tuple[str, int], float]
    nats: float | None


def column(values: Iterable[tuple[str, float]]) -> Column | None:
    """The mean of means by name, and the percentile bootstrap over names; None of nothing."""
    means = _means(values)
    if not means:
        return None
    means_P = torch.tensor(means, dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randint(len(means_P), (DRAWS, len(means_P)), generator=generator)
    low, high = torch.quantile(means_P[drawn].mean(dim=1), torch.tensor([0.025, 0.975], dtype=torch.float64))
    return Column(mean=float(means_P.mean()), low=float(low), high=float(high), n=len(means_P))


def _means(values: Iterable[tuple[str, float]]) -> list[float]:
    """The mean of each name, by name."""
    by_name: defaultdict[str, list[float]] = defaultdict(list)
    for name, value in values:
        by_name[name].append(value)
    return [fmean(by_name[name]) for name in sorted(by_name)]


def responses(rows: Iterable[Row], within: Collection[str] | None = None) -> tuple[Response, ...]:
    """One response per kind and scale; `within` narrows to some prompts. Questions count for every half."""
    samples: defaultdict[tuple[Kind, float], list[SampleRow]] = defaultdict(list)
    answers: defaultdict[tuple[Kind, float], list[AnswerRow]] = defaultdict(list)
    for row in rows:
        if isinstance(row, AnswerRow):
            answers[row.kind, row.scale].append(row)
        elif within is None or row.prompt in within:
            samples[row.kind, row.scale].append(row)
    base = _base(samples["base", 0.0])
    arms = sorted(
        (arm for arm, found in samples.items() if found),
        key=lambda arm: (_ORDER.index(arm[0]), abs(arm[1])),
    )
    return tuple(_response(arm, samples[arm], answers[arm], base) for arm in arms)


def choose(
    rows: Sequence[Row], half_a: Collection[str], half_b: Collection[str], *, worse: float
) -> Choice | None:
    """The scale above 0 with the best score on half A among those that read well; the smaller of equals."""
    on_a = responses(rows, half_a)
    base = next(r for r in on_a if r.kind == "base")
    tried = [r for r in on_a if r.kind == "vector" and r.scale > 0]
    usable = [r for r in tried if r.score is not None and _reads_well(r, base, worse)]
    if not usable:
        return None
    best = max(usable, key=lambda r: (r.score.mean if r.score else -math.inf, -r.scale))
    on_b = tuple(r for r in responses(rows, half_b) if abs(r.scale) == best.scale or not r.scale)
    reported = tuple(r for r in on_b if r.kind != "vector" or r.scale)
    return Choice(scale=best.scale, tried=len(tried), on_a=best, on_b=reported)


def _reads_well(r: Response, base: Response, worse: float) -> bool:
    if r.degenerate > base.degenerate + _MORE_DEGENERATE:
        return False
    if r.perplexity is None or base.perplexity is None:
        return r.perplexity is base.perplexity
    return r.perplexity <= worse * base.perplexity


def _base(rows: Sequence[SampleRow]) -> Base:
    concept = {(row.prompt, row.seed): row.scores.concept for row in rows if row.scores.concept is not None}
    return Base(concept, _over_tokens(rows, lambda row: row.nats))


def _response(
    arm: tuple[Kind, float], rows: Sequence[SampleRow], answers: Sequence[AnswerRow], base: Base
) -> Response:
    nats = _over_tokens(rows, lambda row: row.nats)
    steered = [row.applied for row in rows if row.applied is not None]
    return Response(
        kind=arm[0],
        scale=arm[1],
        samples=len(rows),
        directions=len({row.index for row in rows}),
        concept=_scored(rows, lambda row: row.scores.concept),
        instruct=_scored(rows, lambda row: row.scores.instruct),
        fluency=_scored(rows, lambda row: row.scores.fluency),
        score=_scored(rows, lambda row: row.scores.score),
        spread=_spread(rows),
        unreadable=sum(bool(row.scores.unreadable) for row in rows),
        perplexity=None if nats is None else math.exp(nats),
        kl=_over_tokens(rows, lambda row: row.kl),
        empty=fmean(row.degenerate == "empty" for row in rows),
        loop=fmean(row.degenerate == "loop" for row in rows),
        salad=fmean(_salad(row, base) for row in rows),
        anti=None if arm[0] == "base" else _anti(rows, base, -1 if arm[0] == "wrong_sign" else 1),
        capability=column((row.question, float(row.right)) for row in answers),
        applied=fmean(steered) if steered else None,
    )


def _scored(rows: Sequence[SampleRow], part: Callable[[SampleRow], float | None]) -> Column | None:
    return column((row.prompt, value) for row in rows if (value := part(row)) is not None)


def _over_tokens(rows: Sequence[SampleRow], part: Callable[[SampleRow], float | None]) -> float | None:
    """Mean over all tokens of the rows that have the value."""
    found = [(row.tokens, value) for row in rows if (value := part(row)) is not None]
    tokens = sum(n for n, _ in found)
    return sum(n * value for n, value in found) / tokens if tokens else None


def _salad(row: SampleRow, base: Base) -> bool:
    if row.degenerate is not None or row.nats is None or base.nats is None:
        return False
    return row.nats > SALAD * base.nats


def _anti(rows: Sequence[SampleRow], base: Base, expected: int) -> float | None:
    """Over prompts, and directions where there are several: whether the mean change over seeds goes the wrong way."""
    changes: defaultdict[tuple[str, int], list[float]] = defaultdict(list)
    for row in rows:
        before = base.concept.get((row.prompt, row.seed))
        if row.scores.concept is not None and before is not None:
            changes[row.prompt, row.index].append(row.scores.concept - before)
    return fmean(expected * fmean(each) < -_ROUNDING for each in changes.values()) if changes else None


def _spread(rows: Sequence[SampleRow]) -> tuple[float, float] | None:
    """Lowest and highest mean concept of the directions of one arm, where there are several."""
    by_index: defaultdict[int, list[tuple[str, float]]] = defaultdict(list)
    for row in rows:
        if row.scores.concept is not None:
            by_index[row.index].append((row.prompt, row.scores.concept))
    means = [fmean(_means(each)) for each in by_index.values()]
    return (min(means), max(means)) if len(means) > 1 else None
