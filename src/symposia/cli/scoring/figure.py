"""Accuracy over tokens: what a method buys with what it uses."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from symposia.evals.scorecard.card import Scorecard
from symposia.evals.scorecard.methodrow import fresh_tokens, total_tokens
from symposia.interp.plot.style import CYCLE, MARKS, figure, named, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def accuracy_tokens(card: Scorecard) -> Figure:
    """A point a method, with its 95 % interval, over its mean tokens an item on a logarithmic axis."""
    drawn = figure(6.4, 4.2)
    axes = plain(drawn.subplots())
    count = fresh_tokens if card.asked.count == "fresh" else total_tokens
    for at, row in enumerate(card.rows):
        share, interval, tokens = row.graded.share, row.graded.interval, count(row.usage)
        if share is None or interval is None or not tokens:
            continue
        around = [[100 * (share - interval.low)], [100 * (interval.high - share)]]
        axes.errorbar(
            [tokens / row.strict.n],
            [100 * share],
            yerr=around,
            capsize=3 + 2 * at,  # told apart where budgets are equal, as they are meant to be
            zorder=2 + len(card.rows) - at,
            linestyle="none",
            color=CYCLE[at % len(CYCLE)],
            marker=MARKS[at % len(MARKS)],
            label=row.method,
        )
    _logarithmic(axes)
    axes.set_ylim(-3, 103)
    which = "that no cache held" if card.asked.count == "fresh" else "in all"
    named(axes, x=f"tokens an item, {which}", y="accuracy, % of graded", title="95 % intervals")
    if axes.has_data():
        axes.legend(frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return drawn


def _logarithmic(axes: Axes) -> None:
    """Tokens in thousands as people write them, at 1, 2 and 5 of each decade."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda tokens, _: f"{tokens:,.0f}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def as_png(drawn: Figure) -> bytes:
    """The figure as bytes, for a page that holds it."""
    into = io.BytesIO()
    drawn.savefig(into, format="png", dpi=120, metadata={"Software": None})
    return into.getvalue()
