"""What a fit found, layer by layer: how well the sides separate, how stable the direction is, what chance gives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from symposia.interp.diagnose import Diagnosis

from .style import BLUE, DASHES, GREEN, GREY, MARKS, ORANGE, PURPLE, figure, named, plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def layers(found: Diagnosis) -> Figure:
    """Held-out AUROC, split-half and pair cosines by layer; the band is what shuffled labels reach."""
    drawn = figure(7.2, 3.8)
    axes = plain(drawn.subplots())
    at = sorted(found.layers)
    curves = (
        ("held-out AUROC", [found.layers[i].auroc for i in at], BLUE),
        ("agreement of halves (cosine)", [found.layers[i].split_half for i in at], GREEN),
        ("agreement of pairs (cosine)", [found.layers[i].pair_cosine for i in at], PURPLE),
    )
    for i, (label, values, colour) in enumerate(curves):
        kept = [(x, y) for x, y in zip(at, values, strict=True) if y is not None]
        if kept:
            axes.plot(*zip(*kept, strict=True), DASHES[i], color=colour, marker=MARKS[i], label=label)
    chance = [(i, null) for i in at if (null := found.layers[i].null_auroc) is not None]
    if chance:
        x, top = zip(*chance, strict=True)
        axes.fill_between(x, 0.5, top, color=GREY, alpha=0.2, linewidth=0, label="AUROC of shuffled labels")
    axes.axvline(found.suggested, color=ORANGE, linewidth=1.2, label=f"suggested: layer {found.suggested}")
    axes.set_xticks(at)
    axes.set_ylim(top=1.03)
    named(
        axes,
        x="layer",
        title=f"{found.pairs} samples a side; that it can be read there does not mean it steers there",
    )
    drawn.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    return drawn
