"""How all figures look: colours that colour-blind readers tell apart (Okabe and Ito 2008), thin frames, plain words."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from symposia.core.errors import SymposiaError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, RED, PURPLE, SKY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9"
GREY, INK = "#767676", "#222222"
CYCLE = (BLUE, RED, GREEN, PURPLE, ORANGE, SKY)
DASHES = ("-", "--", "-.", ":")
MARKS = ("o", "s", "^", "D", "v", "P")
DIVERGING = "PuOr"
"""Two hues through white, for values on both sides of a middle."""


class PlotsNeedMatplotlib(SymposiaError):
    """matplotlib is an extra."""

    def __init__(self) -> None:
        super().__init__("figures need matplotlib, which is not installed: pip install 'symposia[plot]'")


def figure(width: float, height: float) -> Figure:
    """An empty figure in inches that lays itself out; no window, no global state."""
    try:
        from matplotlib.figure import Figure as Made
    except ModuleNotFoundError as error:
        raise PlotsNeedMatplotlib from error
    return Made(figsize=(width, height), layout="constrained")


def save(drawn: Figure, path: Path | str) -> None:
    """Write a figure by the suffix of its path. SVG keeps text as text, and is the same for the same figure."""
    from matplotlib import rc_context

    svg = Path(path).suffix == ".svg"
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "symposia", "font.family": "sans-serif"}):
        drawn.savefig(path, dpi=150, metadata={"Date": None} if svg else None)


def plain(axes: Axes) -> Axes:
    """Two spines, outward ticks, a faint grid for reading values off."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GREY)
    axes.tick_params(colors=INK, labelsize=9)
    axes.grid(axis="y", color="#e4e4e4", linewidth=0.6)
    axes.set_axisbelow(True)
    return axes


def named(axes: Axes, *, x: str = "", y: str = "", title: str = "") -> Axes:
    """What the axes are of."""
    axes.set_xlabel(x, color=INK, fontsize=10)
    axes.set_ylabel(y, color=INK, fontsize=10)
    if title:
        axes.set_title(title, loc="left", color=INK, fontsize=10)
    return axes
