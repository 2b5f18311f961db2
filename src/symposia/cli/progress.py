"""Progress and usage on stderr: a fold over the same events that everything else sees."""

from __future__ import annotations

from dataclasses import dataclass, field

from symposia.core.clock import Clock
from symposia.core.events import (
    Event,
    GenerationRetried,
    ModelMoved,
    SummaryMade,
    ToolReturned,
    TurnDenied,
    TurnTaken,
    ViewCut,
)
from symposia.core.message import Message, Provenance
from symposia.core.value import short
from symposia.talk.ledger import Ledger, Row, total

from .table import Table
from .terminal import Terminal


@dataclass
class Progress:
    """Adds up as events come, and says each turn in a line. `turns` were taken before."""

    err: Terminal
    clock: Clock
    indent: int = 0
    turns: int = 0
    ledger: Ledger = field(default_factory=Ledger)
    _told: dict[str, Row] = field(default_factory=dict)

    def event(self, event: Event) -> None:
        """Take note; say what a person wants to know."""
        self.ledger.event(event, self.clock.monotonic())
        match event:
            case GenerationRetried(about=about, cause=cause, wait_s=wait_s, attempt=attempt):
                self._say(f"{about.speaker}: {cause}; attempt {attempt} in {wait_s:.1f} s")
            case ToolReturned(about=about, name=name, seconds=seconds, error=error):
                self._say(
                    f"{about.speaker} called {name}: {'an error' if error else 'done'} in {seconds:.2f} s"
                )
            case ViewCut(about=about, dropped=dropped):
                self._say(f"{about.speaker} does not see {_ranges(dropped)}: out of context")
            case SummaryMade(about=about, message=message) if message.stands_for:
                self._say(f"{about.speaker} sees a summary of {_ranges((message.stands_for,))}")
            case TurnTaken(messages=messages):
                self._turn(messages[-1])
            case TurnDenied(message=message):
                self._turn(message)
            case ModelMoved(model=model, was=was, now=now):
                self._say(
                    f"{model} has other weights than this run began with: {short(was)} then, {short(now)} now"
                )
            case _:
                pass

    def _turn(self, message: Message) -> None:
        self.turns += 1
        facts = [f"turn {self.turns}"] if self.indent else [f"turn {self.turns} {message.author}"]
        now = total(row for row in self.ledger.rows if row.participant == message.author)
        before = self._told.get(message.author, Row())
        self._told[message.author] = now
        tokens, seconds = now.output_tokens - before.output_tokens, now.seconds - before.seconds
        if tokens:
            facts.append(f"{tokens} tokens")
        if tokens and seconds > 0.01:
            facts.append(f"{tokens / seconds:,.0f}/s")
        facts += _notes(message.provenance) if message.provenance else []
        if spent := self.ledger.total.cost_usd:
            facts.append(f"${spent:.4f} so far")
        self._say(" · ".join(facts))

    def _say(self, text: str) -> None:
        self.err.line(" " * self.indent + text, "dim")

    def usage(self) -> None:
        """The usage table: a row by participant, purpose and model, and the total."""
        rows = self.ledger.rows
        several = len({row.model for row in rows}) > 1
        aside = any(row.purpose != "turn" for row in rows)
        table = Table(_HEADS, left=3)
        for row in rows:
            names = (row.participant, row.purpose if aside else "", row.model if several else "")
            table.row(*names, *_cells(row), style=self.err.colour(row.participant))
        if len(rows) > 1:
            table.row("total", "", "", *_cells(total(rows)), style="bold")
        if rows:
            table.print(self.err)


_HEADS = ("", "for", "model", "calls", "failed", "input", "cached", "output", "seconds", "tokens/s", "cost")


def _cells(row: Row) -> tuple[str, ...]:
    calls = str(row.calls) if row.attempts == row.calls else f"{row.calls} ({row.attempts} attempts)"
    about = "~" if row.estimated else ""
    return (
        calls,
        str(row.failed),
        f"{about}{row.input_tokens:,}",
        f"{row.cached_tokens:,}",
        f"{about}{row.output_tokens:,}",
        f"{row.seconds:.1f}",
        f"{row.output_tokens / row.seconds:,.0f}" if row.seconds > 0.01 else "-",
        _cost(row),
    )


def _cost(row: Row) -> str:
    """Never $0 for what nobody priced; nothing at all where no price is known."""
    if row.cost_usd is None:
        return "-"
    more = f" + {row.unpriced} unpriced call{'s' * (row.unpriced > 1)}" if row.unpriced else ""
    return f"${row.cost_usd:.4f}{more}"


def _notes(made: Provenance) -> list[str]:
    notes = {"length": "cut at max_tokens", "refusal": "refused", "content_filter": "filtered"}
    found = [notes[made.finish_reason]] if made.finish_reason in notes else []
    if made.interventions:
        applied = sum(r.status == "applied" for r in made.receipts)
        tokens = max(
            (r.tokens.generated + r.tokens.given + r.tokens.history for r in made.receipts), default=0
        )
        found.append(f"steered ({applied} of {len(made.interventions)} applied, {tokens} tokens)")
    if made.edited_by:
        found.append(f"edited by {', '.join(made.edited_by)}")
    return found


def _ranges(ranges: tuple[tuple[int, int], ...]) -> str:
    shown = ", ".join(str(a) if b == a + 1 else f"{a}–{b - 1}" for a, b in ranges)
    many = len(ranges) > 1 or ranges[0][1] > ranges[0][0] + 1
    return f"message{'s' if many else ''} {shown}"
