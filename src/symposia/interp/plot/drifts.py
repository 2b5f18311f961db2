"""Drift: each speaker's turns on a direction, in standard deviations from its reference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from symposia.core.drift import Drift
from symposia.core.errors import InvalidInput

from .style import CYCLE, DASHES, GREY, MARKS, figure, named, plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def drift(turns: Sequence[Drift], *, limit: float = 3.0) -> Figure:
    """A line for each speaker and direction over the turns that have a z; the band is within the limit."""
    drawn = figure(7.2, 3.8)
    axes = plain(drawn.subplots())
    axes.axhspan(-limit, limit, color=GREY, alpha=0.12, linewidth=0, label=f"within ±{limit:g} sd")
    axes.axhline(0, color=GREY, linewidth=0.8)
    lines: dict[tuple[str, str, int], list[tuple[int, float]]] = {}
    for one in turns:
        if one.z is not None:
            lines.setdefault((one.speaker, one.name or one.vector, one.layer), []).append((one.turn, one.z))
    if not lines:
        raise InvalidInput("no turn has a z yet; expected turns beyond the reference")
    speakers = list(dict.fromkeys(speaker for speaker, _, _ in lines))
    named_directions = list(dict.fromkeys((name, layer) for _, name, layer in lines))
    for (speaker, name, layer), points in lines.items():
        i, j = speakers.index(speaker), named_directions.index((name, layer))
        label = f"{speaker} on {name.removeprefix('drift:')}, layer {layer}"
        x, y = zip(*points, strict=True)
        (line,) = axes.plot(x, y, DASHES[j % len(DASHES)], color=CYCLE[i % len(CYCLE)], label=label)
        line.set(marker=MARKS[i % len(MARKS)], markersize=5)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}" if value == int(value) else "")
    named(axes, x="turn", y="z of the turn's mean projection")
    drawn.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    return drawn
