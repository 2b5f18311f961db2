"""A debate on stderr: rounds side by side, rulings, causes, beliefs, what it cost."""

from __future__ import annotations

from collections.abc import Iterable

from symposia.cli.table import Table
from symposia.cli.terminal import Terminal
from symposia.talk.debate.beliefs import beliefs_of
from symposia.talk.debate.hold import Held
from symposia.talk.debate.ledger import Totals, totals
from symposia.talk.debate.values import LedgerRow, Ruling

from .report import BaselineReport, DebateReport

WIDEST = 36


def show(done: DebateReport, held: Held | None, err: Terminal, *, verbose: bool) -> None:
    """Everything but the answer."""
    _rounds(done, err)
    for ruling in done.rulings:
        err.line(_ruled(ruling))
    _selection(done, err)
    if held is not None and held.debate.reads_beliefs:
        _beliefs(held, err)
    if done.flags:
        err.line(f"flags: {', '.join(done.flags)}")
    if held is not None and verbose:
        err.line()
        err.line(held.transcript.render(hidden=True))
    err.line()
    _ledger(done, err)
    for baseline in done.baselines:
        err.line(_baseline(baseline))


def _rounds(done: DebateReport, err: Terminal) -> None:
    heads = ["seat", *(f"round {n}" for n in range(1, done.rounds + 1))]
    table = Table(heads, left=len(heads))
    for seat in done.seats:
        cells = {one.round: _short(one.answer) for one in seat.answers}
        cells |= {one.round: f"({one.cause})" for one in seat.abstained}
        table.row(seat.name, *(cells.get(n, "") for n in range(1, done.rounds + 1)), style="bold")
    table.print(err)


def _ruled(ruling: Ruling) -> str:
    said = "the answers agree" if ruling.consensus else "no consensus"
    why = f" ({ruling.fallback})" if ruling.fallback else ""
    direction = "" if ruling.consensus or not ruling.direction else f": {_short(ruling.direction, 100)}"
    return f"round {ruling.round}: {said}{why}{direction}"


def _selection(done: DebateReport, err: Terminal) -> None:
    chosen = done.selection
    words = [f"{done.status}: {done.reason}"]
    if chosen is not None:
        words.append(f"chosen by {chosen.method}" if chosen.method != "unanimous" else "unanimous")
        if chosen.choices:
            words.append(f"choices {', '.join(choice or 'none' for choice in chosen.choices)}")
        if chosen.tiebreak:
            words.append(f"tie settled by {chosen.tiebreak.replace('_', ' ')}")
    err.line("; ".join(words))


def _beliefs(held: Held, err: Terminal) -> None:
    rounds = held.proceedings.rounds
    for at, played in enumerate(rounds):
        for seat, belief in beliefs_of(played, held.debate, rounds[: at + 1]).items():
            shares = ", ".join(f"{_short(choice, 20)} {share:.2f}" for choice, share in belief.items())
            err.line(f"round {played.number}: {seat} holds {shares}")


def _ledger(done: DebateReport, err: Terminal) -> None:
    """A line a seat; what failed beside what was paid for."""
    table = Table(("who", "calls", "lost", "prompt", "cached", "reply", "reasoning", "USD", "s"))
    rows = done.ledger.rows
    for name in dict.fromkeys(row.seat for row in rows):
        own = [row for row in rows if row.seat == name]
        table.row(name, *_sums(totals(own), own))
    table.row("all", *_sums(done.ledger.totals, rows), style="bold")
    table.print(err)
    unpriced = done.ledger.totals.unpriced_calls
    if unpriced and unpriced < done.ledger.totals.calls:
        err.line(f"{unpriced} calls have no known price and are not in the sum")


def _sums(sums: Totals, rows: Iterable[LedgerRow]) -> tuple[str, ...]:
    took = sum(row.ms or 0 for row in rows) / 1000
    return (
        str(sums.calls),
        str(sums.attempts - sums.calls),
        str(sums.prompt_tokens),
        str(sums.cached_tokens),
        str(sums.completion_tokens),
        str(sums.reasoning_tokens),
        sums.cost or "-",
        f"{took:.1f}",
    )


def _baseline(one: BaselineReport) -> str:
    said = f"({one.cause})" if one.answer is None else _short(one.answer, 60)
    cost = "" if one.cost is None else f", {one.cost} USD"
    return f"baseline {one.method}: {said} [{one.calls} calls, {one.tokens} tokens{cost}]"


def _short(text: str, most: int = WIDEST) -> str:
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 1]}…"
