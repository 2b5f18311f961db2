"""A patching grid as a heat map: layers upward, written positions along, one panel a site.

Axes: S sites, L layers, C columns, H heads, X = C·H.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from symposia.core.errors import InvalidInput
from symposia.interp.grid import Grid

from .style import DIVERGING, INK, figure, named

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_WIDE = 80


def patch(grid: Grid, labels: Sequence[str] = (), *, most: int | None = None) -> Figure:
    """1 is as the clean run, 0 as the corrupt one; white is 0.

    `labels` names the columns, else their tokens do, or positions. Heads stand side by side in their column. `most`:
    only so many columns, those in which most happens.
    """
    named_columns = [str(label) for label in labels] or [_label(grid, c) for c in range(len(grid.columns))]
    if len(named_columns) != len(grid.columns):
        raise InvalidInput(
            f"expected a label for each of {len(grid.columns)} columns; got {len(named_columns)}"
        )
    shown = _shown(grid, most)
    named_columns = [named_columns[c] for c in shown]
    columns = [f"{label} · {head}" for label in named_columns for head in grid.heads] or named_columns
    sites, height = len(grid.sites), max(2.2, 0.28 * len(grid.layers) + 1.2)
    drawn = figure(max(4.5, 1.8 + 0.32 * len(columns)), height * sites)
    panels = drawn.subplots(sites, 1, squeeze=False)[:, 0]
    values_SLX = grid.values_SLCH[:, :, shown].flatten(2)
    end = max(1.0, float(values_SLX.abs().max()))
    for panel, site, values_LX in zip(panels, grid.sites, values_SLX, strict=True):
        image = panel.imshow(
            values_LX.numpy(), cmap=DIVERGING, vmin=-end, vmax=end, origin="lower", aspect="auto"
        )
        panel.set_yticks(range(len(grid.layers)), map(str, grid.layers), fontsize=8)
        step = 1 + len(columns) // _WIDE
        panel.set_xticks(
            range(0, len(columns), step), columns[::step], rotation=60, ha="right", rotation_mode="anchor"
        )
        for tick in panel.get_xticklabels():
            tick.set_parse_math(False)
        panel.tick_params(colors=INK, labelsize=8, length=2)
        named(panel, y="layer", title=site)
        bar = drawn.colorbar(image, ax=panel, fraction=0.04, pad=0.02)
        bar.set_label("share restored", fontsize=9, color=INK)
    return drawn


def _shown(grid: Grid, most: int | None) -> list[int]:
    """The columns of the largest absolute values, in order."""
    largest_C = grid.values_SLCH.abs().flatten(3).amax(dim=(0, 1, 3))
    count = len(grid.columns) if most is None else min(most, len(grid.columns))
    return sorted(largest_C.topk(count).indices.tolist())


def _label(grid: Grid, column: int) -> str:
    """Its tokens, or its positions."""
    at = grid.columns[column]
    if grid.tokens:
        return grid.text(column).replace("\n", "⏎")
    return str(at[0]) if len(at) == 1 else f"{at[0]}–{at[-1]}"
