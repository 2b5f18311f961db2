"""A scorecard as files: canonical JSON, a row a trial, and one page that needs nothing else."""

from __future__ import annotations

import csv
import io
from base64 import b64encode
from html import escape

from symposia.core.value import canonical, content_digest, short

from .card import Scorecard
from .methodrow import fresh_tokens
from .score import Times
from .tables import Grid, grids
from .trial import Trial

_HEADS = (
    *("task", "item", "level", "repeat", "method", "grade", "answer", "cause"),
    *(
        "calls",
        "input_tokens",
        "cached_tokens",
        "output_tokens",
        "fresh_tokens",
        "cost_usd",
        "unpriced_calls",
    ),
    *("samples", "overdraw", "marker_missing", "truncated", "rounds", "reason", "notes"),
)
_STYLE = """:root{color-scheme:light dark}
body{font:14px/1.5 system-ui,sans-serif;max-width:72em;margin:2em auto;padding:0 1em}
table{border-collapse:collapse;margin:.5em 0;font-variant-numeric:tabular-nums}
th,td{padding:.2em .8em;text-align:right;border-bottom:1px solid #8886}
.l{text-align:left}p{max-width:60em}img{max-width:100%;background:#fff}
.scroll{overflow-x:auto}"""


def as_json(card: Scorecard) -> bytes:
    """The whole card: the same trials give the same bytes."""
    return canonical(card) + b"\n"


def as_csv(card: Scorecard) -> bytes:
    """A row a trial, in the card's order."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_HEADS)
    writer.writerows(_row(trial) for trial in card.trials)
    return text.getvalue().encode()


def as_html(card: Scorecard, times: Times, plot: bytes | None = None) -> bytes:
    """One page: tables, and the plot (PNG) inside it. No script, no reference to anything outside."""
    told = card.asked
    items = sum(len(digests) for _, digests in told.items)
    image = ""
    if plot is not None:
        encoded = b64encode(plot).decode()
        image = f'<img alt="Accuracy and tokens by method" src="data:image/png;base64,{encoded}">'
    facts = (
        f"{items} items of {', '.join(name for name, _ in told.items)}; {told.profile.model} at temperature "
        f"{told.profile.sampling.temperature:g}; {told.repeats} of each; seed {told.seed}; budgets count "
        f"{told.count} tokens; scorecard {short(content_digest(as_json(card)))}."
    )
    body = "".join(_section(grid) for grid in grids(card, times))
    page = (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Debate scorecard</title>'
        f"<style>{_STYLE}</style><body><h1>Debate scorecard</h1><p>{escape(facts)}</p>{image}{body}</body></html>\n"
    )
    return page.encode()


def _section(grid: Grid) -> str:
    heads = "".join(_cell("th", head, at < grid.left) for at, head in enumerate(grid.heads))
    rows = "".join(
        f"<tr>{''.join(_cell('td', cell, at < grid.left) for at, cell in enumerate(row))}</tr>"
        for row in grid.rows
    )
    return (
        f"<h2>{escape(grid.title)}</h2><p>{escape(grid.note)}</p>"
        f'<div class="scroll"><table><tr>{heads}</tr>{rows}</table></div>'
    )


def _cell(tag: str, text: str, left: bool) -> str:
    return f"<{tag}{' class=l' if left else ''}>{escape(text)}</{tag}>"


def _row(trial: Trial) -> tuple[object, ...]:
    tried = trial.tried
    used, course = tried.usage, tried.course
    return (
        *(trial.task, trial.item, trial.level, trial.repeat, trial.method, trial.grade),
        *("" if tried.answer is None else tried.answer, tried.cause),
        *(used.calls, used.input_tokens, used.cached_tokens, used.output_tokens, fresh_tokens(used)),
        *("" if used.cost_usd is None or tried.unpriced else f"{used.cost_usd:.9f}", tried.unpriced),
        *(tried.samples, tried.overdraw, tried.marker_missing, tried.truncated),
        *("" if course is None else course.rounds, "" if course is None else course.reason),
        "; ".join(tried.notes),
    )
