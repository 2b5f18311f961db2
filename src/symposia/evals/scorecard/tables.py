"""A scorecard as tables of text: the same for a terminal and a page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from symposia.evals.statistics.interval import Interval

from .card import Scorecard
from .compare import Difference
from .courses import Courses
from .methodrow import Accuracy, MethodRow, fresh_tokens
from .score import Times

_NONE = "-"


@dataclass(frozen=True, slots=True)
class Grid:
    """A title, a line on how to read it, heads, and rows of as many cells; the first `left` columns are words."""

    title: str
    note: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left: int = 1


def grids(card: Scorecard, times: Times) -> tuple[Grid, ...]:
    """What was right, what it cost, what may be said of the differences, tasks and levels, and how debates went."""
    found = [
        _accuracies(card),
        _costs(card, dict(times.seconds)),
        _comparisons(card),
        _tasks(card),
        *_debates(card),
    ]
    return tuple(grid for grid in found if grid.rows)


def _accuracies(card: Scorecard) -> Grid:
    rows = tuple(
        (
            row.method,
            *_shares(row.graded),
            f"{row.graded.right}/{row.graded.n}",
            *_shares(row.strict),
            str(row.unreadable),
            ", ".join(f"{cause} {n}" for cause, n in row.failed) or "0",
            str(row.marker_missing),
            str(row.truncated),
            ", ".join(f"{note} {n}" for note, n in row.notes) or _NONE,
        )
        for row in card.rows
    )
    return Grid(
        "Accuracy",
        "Right of the items that were graded, with 95 % intervals; then with failures counted as wrong. Unreadable "
        "answers count as wrong.",
        (
            *("method", "accuracy", "95 %", "right", "strict", "95 %"),
            *("unreadable", "failed", "no marker", "cut", "notes"),
        ),
        rows,
    )


def _costs(card: Scorecard, seconds: dict[str, float]) -> Grid:
    against = next(row for row in card.rows if row.method == card.reference)
    rows = tuple(_cost(row, against, seconds.get(row.method, 0.0)) for row in card.rows)
    return Grid(
        "Cost an item",
        "Means over items. Fresh tokens are those of prompts that no cache held, and of replies. Seconds are those of "
        f"calls, added up. Overdraw was drawn beyond a budget and not used. Saved: against {card.reference}; accuracy "
        "stands beside it, since what answers less well is no saving.",
        (
            "method",
            "accuracy",
            "calls",
            "saved",
            "fresh tokens",
            "saved",
            "cached",
            "samples",
            "overdraw",
            "seconds",
            "cost",
            "unpriced calls",
        ),
        rows,
    )


def _cost(row: MethodRow, against: MethodRow, seconds: float) -> tuple[str, ...]:
    n = row.strict.n or 1
    cost = row.usage.cost_usd
    return (
        row.method,
        _shares(row.graded)[0],
        f"{row.usage.calls / n:.1f}",
        _saved(row.usage.calls, against.usage.calls),
        f"{fresh_tokens(row.usage) / n:,.0f}",
        _saved(fresh_tokens(row.usage), fresh_tokens(against.usage)),
        f"{row.usage.cached_tokens / n:,.0f}",
        f"{row.samples / n:.1f}",
        f"{row.overdraw / n:.1f}",
        f"{seconds / n:.2f}",
        _NONE if cost is None or row.unpriced else f"${cost / n:.6f}",
        str(row.unpriced),
    )


def _saved(used: int, reference: int) -> str:
    """How much less than the reference, in percent; all methods answer the same items."""
    return f"{100 * (1 - used / reference):+.0f} %" if reference else _NONE


def _comparisons(card: Scorecard) -> Grid:
    rows = [
        (f"{one.method} - {one.baseline}", which, *_difference(found))
        for one in card.comparisons
        for which, found in (("graded", one.graded), ("strict", one.strict))
    ]
    return Grid(
        f"{card.reference} against each",
        "Pairs of items. Fixed: right here and wrong there; broken: the other way round. The wording is that of the "
        "interval, p is adjusted by Holm over the comparisons. Strict counts failures as wrong.",
        ("difference", "items", "n", "fixed", "broken", "mean", "95 %", "p", "p (Holm)", "shown"),
        tuple(rows),
        left=2,
    )


def _difference(found: Difference | None) -> tuple[str, ...]:
    if found is None:
        return ("0", *(_NONE,) * 7)
    return (
        str(found.n),
        str(found.fixed),
        str(found.broken),
        f"{100 * found.difference:+.1f}",
        _interval(found.interval, sign="+"),
        f"{found.p:.3f}",
        f"{found.p_holm:.3f}",
        found.wording,
    )


def _tasks(card: Scorecard) -> Grid:
    levels = sorted({t.level for t in card.trials})
    rows = [
        (task.task, row.method, *_shares(row.graded)[:1], *_by_level(card, task.task, row.method, levels))
        for task in card.tasks
        for row in task.rows
    ]
    return Grid(
        "By task and level",
        "Right of graded, in percent; the number of trials in brackets.",
        ("task", "method", "all", *(f"level {level}" for level in levels)),
        tuple(rows),
        left=2,
    )


def _by_level(card: Scorecard, task: str, method: str, levels: list[int]) -> Iterator[str]:
    for level in levels:
        graded = [
            t for t in card.trials if (t.task, t.method, t.level, t.graded) == (task, method, level, True)
        ]
        yield f"{100 * sum(t.right for t in graded) / len(graded):.0f} ({len(graded)})" if graded else _NONE


def _debates(card: Scorecard) -> Iterator[Grid]:
    yield Grid(
        "Debates",
        "Unanimous and wrong: all seats of the last round gave one answer, and it is wrong. Oracle: some seat of the "
        "last round was right, which no choosing can better.",
        (
            "method",
            "debates",
            "rounds",
            "unanimous wrong",
            "oracle",
            "oracle, any round",
            "ended by",
            "flags",
        ),
        tuple(_debate(one) for one in card.courses),
    )
    yield Grid(
        "Minds changed",
        "Seats that answered in both rounds, and of them those that went from right to wrong and from wrong to right.",
        ("method", "into round", "seats", "right to wrong", "wrong to right"),
        tuple(
            (one.method, str(f.round), str(f.seats), str(f.right_to_wrong), str(f.wrong_to_right))
            for one in card.courses
            for f in one.flips
        ),
    )


def _debate(one: Courses) -> tuple[str, ...]:
    def share(count: int) -> str:
        return f"{100 * count / one.n:.1f}" if one.n else _NONE

    return (
        one.method,
        str(one.n),
        f"{one.rounds / one.n:.2f}" if one.n else _NONE,
        share(one.unanimous_wrong),
        share(one.oracle),
        share(one.oracle_ever),
        ", ".join(f"{name} {n}" for name, n in one.reasons),
        ", ".join(f"{name} {n}" for name, n in one.flags) or _NONE,
    )


def _shares(found: Accuracy) -> tuple[str, str]:
    if found.share is None or found.interval is None:
        return _NONE, _NONE
    return f"{100 * found.share:.1f}", _interval(found.interval)


def _interval(interval: Interval, sign: str = "") -> str:
    return f"{100 * interval.low:{sign}.1f} to {100 * interval.high:{sign}.1f}"
