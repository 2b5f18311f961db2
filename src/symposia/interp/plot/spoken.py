"""What was said, token by token, each on the colour of a value: a heat map to be read as text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from symposia.core.errors import InvalidInput

from .style import DIVERGING, GREY, INK, figure

if TYPE_CHECKING:
    from matplotlib.cm import ScalarMappable
    from matplotlib.figure import Figure

_COLUMNS = 84
_INCHES = 0.0685  # a character of the monospaced 8-point font is 0.6 x 8 points wide; a little room beside it
_LINE = 0.20
_FONT: dict[str, Any] = {"family": "monospace", "fontsize": 8, "parse_math": False}


@dataclass(frozen=True)
class Spoken:
    """One token: its text, its value, who said it and in which phase."""

    text: str
    value: float
    speaker: str
    phase: str = "answer"


def tokens(said: Sequence[Spoken], *, label: str = "projection", middle: float = 0.0) -> Figure:
    """The text in order, a block for each run of one speaker and phase. White is `middle`, the two hues its sides."""
    if not said:
        raise InvalidInput("nothing to show; expected at least one token")
    blocks = [(key, list(run)) for key, run in groupby(said, key=lambda one: (one.speaker, one.phase))]
    rows: list[tuple[str, list[tuple[int, Spoken]]]] = []
    for (speaker, phase), run in blocks:
        head = speaker if phase == "answer" else f"{speaker} ({phase})"
        for i, row in enumerate(_wrapped(run)):
            rows.append((head if i == 0 else "", row))
    margin = max(len(head) for head, _ in rows) + 1
    drawn = figure((margin + _COLUMNS) * _INCHES, _LINE * len(rows) + 0.9)
    from matplotlib.patches import Rectangle

    axes = drawn.subplots()
    most = max(abs(one.value - middle) for one in said) or 1.0
    bar_of = _scale(middle - most, middle + most)
    for y, (head, row) in enumerate(rows):
        axes.text(-1, y, head, ha="right", va="center", color=GREY, **_FONT)
        for x, one in row:
            colour = bar_of.cmap((one.value - middle + most) / (2 * most))
            axes.add_patch(Rectangle((x, y - 0.48), len(_shown(one)), 0.96, color=colour, linewidth=0))
            ink = INK if sum(colour[:3]) > 1.35 else "white"
            axes.text(x, y, _shown(one), va="center", color=ink, **_FONT)
    axes.set(xlim=(-margin, _COLUMNS), ylim=(len(rows) - 0.4, -0.6))
    axes.axis("off")
    bar = drawn.colorbar(bar_of, ax=axes, orientation="horizontal", fraction=0.05, aspect=50, pad=0.02)
    bar.set_label(label, fontsize=9, color=INK)
    return drawn


def _scale(low: float, high: float) -> ScalarMappable:
    from matplotlib.cm import ScalarMappable as Made
    from matplotlib.colors import Normalize

    return Made(Normalize(low, high), cmap=DIVERGING)


def _wrapped(run: Sequence[Spoken]) -> Iterator[list[tuple[int, Spoken]]]:
    """Tokens with their columns, a list a line; a token is never split."""
    row: list[tuple[int, Spoken]] = []
    x = 0
    for one in run:
        if row and x + len(_shown(one)) > _COLUMNS:
            yield row
            row, x = [], 0
        row.append((x, one))
        x += len(_shown(one))
    yield row


def _shown(one: Spoken) -> str:
    return one.text.replace("\n", "⏎").replace("\t", " ") or "·"
