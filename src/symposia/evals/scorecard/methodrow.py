"""One method over all items: accuracy with its interval, and what it took."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction

from symposia.core.usage import NOTHING, Usage
from symposia.core.value import Count, Value
from symposia.evals.statistics.bootstrap import bootstrap
from symposia.evals.statistics.interval import Interval, wilson

from .trial import Trial

Key = tuple[str, str]
"""A task set and an item of it."""


class Accuracy(Value, frozen=True, kw_only=True):
    """Right answers of those counted, and the 95 % interval: Wilson's, or the bootstrap over items of repeats."""

    right: Count
    n: Count
    interval: Interval | None

    @property
    def share(self) -> float | None:
        """Right of `n`; None of nothing."""
        return self.right / self.n if self.n else None


class MethodRow(Value, frozen=True, kw_only=True):
    """`graded` leaves failures out, `strict` counts them as wrong; `failed` counts them by cause.

    `usage` is the sum over items, `unpriced` how many calls have no price. `samples` were used, `overdraw` drawn beyond
    a budget and left aside. `notes` count what did not go as planned.
    """

    method: str
    graded: Accuracy
    strict: Accuracy
    unreadable: Count
    failed: tuple[tuple[str, int], ...]
    usage: Usage
    unpriced: Count
    marker_missing: Count
    truncated: Count
    samples: Count
    overdraw: Count
    notes: tuple[tuple[str, int], ...] = ()


def method_row(method: str, trials: Sequence[Trial], seed: str) -> MethodRow:
    """Fold the trials of one method."""
    causes = Counter(t.tried.cause for t in trials if not t.graded)
    return MethodRow(
        method=method,
        graded=accuracy([t for t in trials if t.graded], seed),
        strict=accuracy(trials, seed),
        unreadable=sum(t.grade == "unreadable" for t in trials),
        failed=tuple(sorted(causes.items())),
        usage=sum((t.tried.usage for t in trials), NOTHING),
        unpriced=sum(t.tried.unpriced for t in trials),
        marker_missing=sum(t.tried.marker_missing for t in trials),
        truncated=sum(t.tried.truncated for t in trials),
        samples=sum(t.tried.samples for t in trials),
        overdraw=sum(t.tried.overdraw for t in trials),
        notes=tuple(sorted(Counter(note for t in trials for note in t.tried.notes).items())),
    )


def accuracy(trials: Sequence[Trial], seed: str) -> Accuracy:
    """Over trials; with several of an item, the interval is the bootstrap's over items' means."""
    right, n = sum(t.right for t in trials), len(trials)
    means = item_means(trials)
    if not n:
        interval = None
    elif len(means) == n:
        interval = wilson(right, n)
    else:
        interval = bootstrap([float(mean) for mean in means.values()], seed)
    return Accuracy(right=right, n=n, interval=interval)


def item_means(trials: Sequence[Trial]) -> dict[Key, Fraction]:
    """The share of each item's trials that are right, in the items' first order."""
    counts: dict[Key, tuple[int, int]] = {}
    for trial in trials:
        right, n = counts.get((trial.task, trial.item), (0, 0))
        counts[trial.task, trial.item] = (right + trial.right, n + 1)
    return {key: Fraction(right, n) for key, (right, n) in counts.items()}


def fresh_tokens(usage: Usage) -> int:
    """Tokens that were computed: those of the prompt that no cache held, and those of the reply."""
    return usage.input_tokens - usage.cached_tokens + usage.output_tokens


def total_tokens(usage: Usage) -> int:
    """All tokens of prompts and replies."""
    return usage.input_tokens + usage.output_tokens
