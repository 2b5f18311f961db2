"""Progress and usage on stderr: a fold over the same events that everything else sees."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from symposia.core.clock import Clock
from symposia.core.events import (
    Event,
    GenerationFailed,
    GenerationFinished,
    GenerationRetried,
    GenerationStarted,
    ModelMoved,
    SummaryMade,
    ToolReturned,
    TurnDenied,
    TurnTaken,
    ViewCut,
)
from symposia.core.message import Message, Provenance
from symposia.core.request import About
from symposia.core.usage import NOTHING, Usage
from symposia.core.value import short

from .table import Table
from .terminal import Terminal


@dataclass
class Spent:
    """What one speaker's generations took in this process."""

    usage: Usage = NOTHING
    seconds: float = 0.0
    unpriced: int = 0


@dataclass
class Progress:
    """Adds up as events come, and says each turn in a line. `turns` were taken before."""

    err: Terminal
    clock: Clock
    indent: int = 0
    spent: dict[str, Spent] = field(default_factory=dict)
    _began: dict[About, float] = field(default_factory=dict)
    turns: int = 0
    _recent: dict[str, Spent] = field(default_factory=dict)

    def event(self, event: Event) -> None:
        """Take note; say what a person wants to know."""
        match event:
            case GenerationStarted(about=about):
                self._began[about] = self.clock.monotonic()
            case GenerationFinished(about=about, completion=completion):
                self._add(about, completion.usage)
            case GenerationFailed(about=about):
                self._began.pop(about, None)
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

    def _add(self, about: About, usage: Usage) -> None:
        seconds = self.clock.monotonic() - self._began.pop(about, self.clock.monotonic())
        for book in (self.spent, self._recent):
            row = book.setdefault(about.speaker, Spent())
            row.usage = row.usage + usage
            row.seconds += seconds
            row.unpriced += usage.cost_usd is None

    def _turn(self, message: Message) -> None:
        self.turns += 1
        recent = self._recent.pop(message.author, Spent())
        facts = [f"turn {self.turns}"] if self.indent else [f"turn {self.turns} {message.author}"]
        tokens = recent.usage.output_tokens
        if tokens:
            facts.append(f"{tokens} tokens")
        if tokens and recent.seconds > 0.01:
            facts.append(f"{tokens / recent.seconds:,.0f}/s")
        facts += _notes(message.provenance) if message.provenance else []
        known = [row.usage.cost_usd for row in self.spent.values() if row.usage.cost_usd is not None]
        if sum(known) > 0:
            facts.append(f"${sum(known):.4f} so far")
        self._say(" · ".join(facts))

    def _say(self, text: str) -> None:
        self.err.line(" " * self.indent + text, "dim")

    def usage(self, used: Mapping[str, Usage]) -> None:
        """The usage table: a row an author, and the total. `used` counts the whole conversation."""
        table = Table(("", "calls", "input", "cached", "output", "seconds", "tokens/s", "cost"))
        rows = {name: usage for name, usage in used.items() if name != "total" and usage.calls}
        for name, usage in rows.items():
            table.row(*_cells(name, usage, self.spent.get(name, Spent())), style=self.err.colour(name))
        if len(rows) > 1:
            all_spent = Spent(NOTHING, sum(s.seconds for s in self.spent.values()))
            for spent in self.spent.values():
                all_spent.usage = all_spent.usage + spent.usage
                all_spent.unpriced += spent.unpriced
            table.row(*_cells("total", used["total"], all_spent), style="bold")
        if rows:
            table.print(self.err)


def _cells(name: str, usage: Usage, spent: Spent) -> tuple[str, ...]:
    calls = (
        str(usage.calls) if usage.attempts == usage.calls else f"{usage.calls} ({usage.attempts} attempts)"
    )
    rate = f"{spent.usage.output_tokens / spent.seconds:,.0f}" if spent.seconds > 0.01 else "-"
    cost = f"${usage.cost_usd:.4f}" if usage.cost_usd else _unpriced(spent)
    about = "~" if usage.estimated else ""
    return (
        name,
        calls,
        f"{about}{usage.input_tokens:,}",
        f"{usage.cached_tokens:,}",
        f"{about}{usage.output_tokens:,}",
        f"{spent.seconds:.1f}",
        rate,
        cost,
    )


def _unpriced(spent: Spent) -> str:
    """Never $0 for what nobody priced; nothing at all where no price is known."""
    known = spent.usage.cost_usd
    return f"${known:.4f} + {spent.unpriced} unpriced calls" if known else "-"


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
