"""Dose and response: what the text becomes, and what it costs, at each size, beside every baseline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from symposia.interp.dose.values import Column, Dose, Kind, Response

from .style import BLUE, DASHES, GREEN, GREY, INK, MARKS, ORANGE, PURPLE, RED, figure, named, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ARMS: tuple[tuple[Kind, str, str], ...] = (
    ("vector", "the vector", BLUE),
    ("wrong_sign", "wrong sign", RED),
    ("random", "random directions", GREY),
    ("matched", "random halves of its data", PURPLE),
)
_LEVELS: tuple[tuple[Kind, str, str], ...] = (
    ("prompt", "asked in the system text", GREEN),
    ("base", "unsteered", INK),
)


def dose(found: Dose, *, measure: str = "") -> Figure:
    """Above: mean concept with its 95 % interval. Below: perplexity of the text to the clean model, logarithmic.

    Random and matched directions are averaged; their band runs from the lowest of them to the highest. The scale chosen
    on half of the prompts is marked. `measure` names the concept, if not by the evaluation's own words.
    """
    drawn = figure(7.2, 6.4)
    above, below = drawn.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    for axes in (plain(above), plain(below)):
        if found.chosen is not None:
            line = axes.axvline(found.chosen.scale, color=ORANGE, linewidth=1.2, zorder=1)
            if axes is above:
                line.set_label("chosen on half of the prompts")
    base = found.at("base")
    for at, (kind, label, colour) in enumerate(_ARMS):
        curve = [r for r in found.curve(kind) if r.concept is not None]
        if base is not None and base.concept is not None and curve and curve[0].scale:
            curve = [base, *curve]
        if curve:
            look: dict[str, Any] = {
                "color": colour,
                "marker": MARKS[at],
                "linestyle": DASHES[at],
                "linewidth": 1.6,
            }
            _responses(above, curve, {**look, "label": label})
            kept = [(abs(r.scale), r.perplexity) for r in curve if r.perplexity is not None]
            below.plot(*zip(*kept, strict=True), markersize=4, **look)
    for kind, label, colour in _LEVELS:
        level = found.at(kind)
        if level is not None and level.concept is not None:
            _level(above, level.concept, label, colour)
            if level.perplexity is not None:
                below.axhline(level.perplexity, color=colour, linewidth=1.1, linestyle=(0, (1, 2)))
    if base is not None and base.perplexity is not None:
        below.axhline(found.worse * base.perplexity, color=ORANGE, linewidth=1.0, linestyle="--")
        told = f" {found.worse:g} x unsteered: the most that may be chosen"
        below.annotate(
            told,
            (0, found.worse * base.perplexity),
            xycoords=("axes fraction", "data"),
            fontsize=8,
            va="bottom",
        )
    below.set_yscale("log")
    for axis in (below.yaxis.set_major_formatter, below.yaxis.set_minor_formatter):
        axis(lambda value, _: f"{value:g}" if f"{value:e}"[0] in "1235" else "")
    layers = ", ".join(map(str, found.push.layers))
    named(
        above, y=_wrapped(measure or found.measure), title=f"{found.name} at layer {layers} of {found.model}"
    )
    named(below, x=f"scale ({found.push.unit})", y="perplexity of the text,\nunsteered model")
    drawn.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    return drawn


def _responses(axes: Axes, curve: list[Response], look: dict[str, Any]) -> None:
    """Means with their intervals, and a band from the lowest direction to the highest where there are several."""
    x = [abs(r.scale) for r in curve]
    columns = [r.concept for r in curve if r.concept is not None]
    below = [c.mean - c.low for c in columns]
    above = [c.high - c.mean for c in columns]
    axes.errorbar(
        x, [c.mean for c in columns], yerr=(below, above), capsize=2, elinewidth=0.9, markersize=5, **look
    )
    if any(r.spread is not None for r in curve):
        low, high = zip(
            *(r.spread or (c.mean, c.mean) for r, c in zip(curve, columns, strict=True)), strict=True
        )
        axes.fill_between(x, low, high, color=look["color"], alpha=0.15, linewidth=0)


def _level(axes: Axes, column: Column, label: str, colour: str) -> None:
    axes.axhline(column.mean, color=colour, linewidth=1.3, linestyle=(0, (1, 2)), label=label)
    if colour != INK:  # the base's interval stands at scale 0
        axes.axhspan(column.low, column.high, color=colour, alpha=0.10, linewidth=0)


def _wrapped(text: str) -> str:
    """Before the parenthesis, if there is one."""
    return text.replace(" (", "\n(")
