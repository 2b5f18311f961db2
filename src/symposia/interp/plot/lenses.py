"""The logit lens as a figure: what each layer would say next, and how sure it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from symposia.core.errors import InvalidInput

from .style import INK, figure, named

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from symposia.interp.logitlens import LogitLens

_MOST = 40


def lens(found: LogitLens, *, first: int = 0, last: int | None = None) -> Figure:
    """Layers from below, tokens from the left: the likeliest next token in each cell, on the colour of its probability.

    `first` and `last` cut the tokens shown, of which there may be at most 40.
    """
    tokens = found.tokens[first:last]
    if not 0 < len(tokens) <= _MOST:
        raise InvalidInput(f"expected 1 to {_MOST} tokens; got {len(tokens)}: cut them with first= and last=")
    chance_LN = found.top_logprobs_LNk[:, first:last, 0].exp()
    ids_LN = found.top_ids_LNk[:, first:last, 0]
    drawn = figure(1.6 + 0.62 * len(tokens), 1.3 + 0.27 * len(found.layers))
    axes = drawn.subplots()
    image = axes.imshow(chance_LN.numpy(), cmap="Blues", vmin=0, vmax=1, origin="lower", aspect="auto")
    for y in range(len(found.layers)):
        for x in range(len(tokens)):
            ink = "white" if chance_LN[y, x] > 0.6 else INK
            word = _shown(found.spelled[int(ids_LN[y, x])])
            axes.text(x, y, word, ha="center", va="center", fontsize=7, color=ink, parse_math=False)
    axes.set_yticks(range(len(found.layers)), map(str, found.layers), fontsize=8)
    axes.set_xticks(range(len(tokens)), [_shown(token.text) for token in tokens], fontsize=8, rotation=45)
    for tick in axes.get_xticklabels():
        tick.set_parse_math(False)
    axes.tick_params(colors=INK, length=2)
    named(axes, x="after", y="layer")
    bar = drawn.colorbar(image, ax=axes, fraction=0.03, pad=0.02)
    bar.set_label("probability", fontsize=9, color=INK)
    return drawn


def _shown(text: str) -> str:
    plain = text.replace("\n", "⏎").strip(" ") or "·"
    return plain if len(plain) <= 9 else plain[:8] + "…"
