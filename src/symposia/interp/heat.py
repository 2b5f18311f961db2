"""Numbers by token as one static page: inline style, no script, no outside reference, all text escaped."""

from __future__ import annotations

import math
from html import escape
from itertools import groupby

from symposia.core.palette import DARK, LIGHT

from .grid import Grid
from .logitlens import LogitLens
from .readings import Token, TokenReadings

_MOST = 0.55  # opacity: text stays readable on it in light and dark
_WARM, _COLD = "214,96,77", "67,147,195"
_STYLE = f"""<style>
body{{background:{LIGHT};color:#1a1a1a;font:14px/1.7 system-ui,sans-serif;margin:1.5em;color-scheme:light dark}}
@media (prefers-color-scheme:dark){{body{{background:{DARK};color:#ececec}}}}
p{{white-space:pre-wrap;overflow-wrap:anywhere;margin:.4em 0}} small{{opacity:.75}}
table{{border-collapse:collapse;font-size:12px}} td,th{{padding:.15em .4em;text-align:left;white-space:pre}}
div{{overflow-x:auto}}
</style>"""


def of_tokens(found: TokenReadings, column: str) -> str:
    """The text, each token shaded by a column: warm above zero, cold below."""
    values = found.columns[column]
    most = max((abs(v) for v in values if v is not None), default=0.0)
    pairs = list(zip(found.tokens, values, strict=True))
    lines = []
    for _, group in groupby(
        pairs, key=lambda pair: (pair[0].span.author, pair[0].span.turn, pair[0].span.role)
    ):
        shown = list(group)
        who = shown[0][0].span
        body = "".join(_piece(token, value, most) for token, value in shown)
        lines.append(f"<p><small>{escape(who.author or who.role or 'start')}</small> {body}</p>")
    return page(f"{column}, up to {most:.3g}", "".join(lines))


def of_layers(found: LogitLens) -> str:
    """Layers by tokens: the best next token of each, shaded by its probability."""
    heads = "".join(f"<th>{escape(_plain(token.text))}</th>" for token in found.tokens)
    rows = []
    for i, layer in reversed(list(enumerate(found.layers))):
        cells = []
        for j in range(len(found.tokens)):
            best = int(found.top_ids_LNk[i, j, 0])
            p = math.exp(float(found.top_logprobs_LNk[i, j, 0]))
            cells.append(_cell(_plain(found.spelled[best]), p, 1.0, f"{p:.3f}"))
        rows.append(f"<tr><th>{layer}</th>{''.join(cells)}</tr>")
    table = f"<div><table><tr><th>layer</th>{heads}</tr>{''.join(rows)}</table></div>"
    return page("what each layer would say next", table)


def of_grid(grid: Grid) -> str:
    """For each site and head, layers by columns of positions."""
    most = float(grid.values_SLCH.abs().max())
    heads = "".join(f"<th>{escape(_plain(grid.text(c)))}</th>" for c in range(len(grid.columns)))
    tables = []
    for s, site in enumerate(grid.sites):
        for h, head in enumerate(grid.heads or (None,)):
            rows = []
            for i, layer in reversed(list(enumerate(grid.layers))):
                values = grid.values_SLCH[s, i, :, h].tolist()
                cells = "".join(_cell(f"{v:.2f}", v, most, f"{v:.6f}") for v in values)
                rows.append(f"<tr><th>{layer}</th>{cells}</tr>")
            name = site if head is None else f"{site}, head {head}"
            tables.append(
                f"<h2>{escape(name)}</h2><div><table><tr><th>layer</th>{heads}</tr>{''.join(rows)}</table></div>"
            )
    told = f"1 is the clean run ({grid.clean:.4f}), 0 the corrupt one ({grid.corrupt:.4f})"
    return page("patching", f"<p>{told}</p>{''.join(tables)}")


def page(title: str, body: str) -> str:
    """A whole document."""
    head = f'<!doctype html><meta charset="utf-8"><title>{escape(title)}</title>{_STYLE}'
    return f"{head}\n<h1>{escape(title)}</h1>\n{body}\n"


def _piece(token: Token, value: float | None, most: float) -> str:
    told = "" if value is None else f"{value:.4f}"
    style = "" if value is None else f' style="{_shade(value, most)}"'
    return f'<span{style} title="{escape(told)}">{escape(token.text)}</span>'


def _cell(text: str, value: float, most: float, told: str) -> str:
    return f'<td style="{_shade(value, most)}" title="{escape(told)}">{escape(text)}</td>'


def _shade(value: float, most: float) -> str:
    share = 0.0 if not most or not math.isfinite(value) else min(1.0, abs(value) / most)
    return f"background:rgba({_WARM if value >= 0 else _COLD},{_MOST * share:.3f})"


def _plain(text: str) -> str:
    """Line ends as signs, so that a column stays one."""
    return text.replace("\n", "↵").replace("\t", "⇥")
