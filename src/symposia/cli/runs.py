"""`symposia runs show`: a debate of a run, its rounds side by side, with what each seat saw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from symposia.core.errors import InvalidInput, UnknownName

from . import flags
from .exits import DONE
from .table import Table
from .terminal import Terminal
from .world import guarded, this_world

if TYPE_CHECKING:
    from symposia.core.lines import Line
    from symposia.core.transcript import Transcript
    from symposia.talk.debate import Debate

WIDEST = 60
_FRAMING = ("moderator", "system")


@dataclass(frozen=True)
class ShowOptions:
    """Which debate of which run."""

    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")]
    debate: Annotated[str | None, typer.Option(metavar="ID", help="Which debate.")] = None
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Every line a seat saw, and all it said.")
    ] = False


def register(app: typer.Typer) -> None:
    """Add the group."""
    runs = typer.Typer(no_args_is_help=True, help="What runs hold.")
    flags.add(runs, "show", ShowOptions, show_run)
    app.add_typer(runs, name="runs")


def show_run(asked: ShowOptions) -> int:
    """Print a debate's rounds side by side, with what each seat saw before it spoke."""
    world = this_world()

    def shown() -> int:
        from .debate.finished import debates_of

        found = debates_of(asked.run)
        name = asked.debate or (next(iter(found)) if len(found) == 1 else None)
        if name is None:
            raise InvalidInput(f"the run holds {len(found)} debates; name one with --debate ID")
        if name not in found:
            raise UnknownName("debate", name, found)
        one = found[name]
        world.out.line(one.transcript[0].text, "bold")
        rounds(one.transcript, one.debate, world.out, verbose=asked.verbose)
        return DONE

    return guarded(world, shown)


def rounds(transcript: Transcript, debate: Debate, out: Terminal, *, verbose: bool) -> None:
    """Each round: a row a seat with what was new to it and what it answered; then the ruling."""
    from symposia.talk.debate.board import seat_lines
    from symposia.talk.debate.reading import rounds_of
    from symposia.talk.debate.rulings import ruling_of
    from symposia.talk.debate.values import Ruling

    held = rounds_of(transcript, debate)
    for at, one in enumerate(held):
        out.line()
        out.line(f"round {one.number}", "bold")
        table = Table(("seat", "saw", "answered"), left=3)
        lines = {seat: seat_lines(transcript, held[:at], debate, seat) for seat in debate.team.names}
        causes = {lost.seat: lost.cause for lost in one.lost}
        for seat in debate.team.names:
            said = one.answer_of(seat)
            answer = f"({causes.get(seat, 'not asked')})" if said is None else said.extracted.text
            table.row(seat, _entries(lines[seat]), _short(answer), style="bold")
        table.print(out)
        if verbose:
            for seat in debate.team.names:
                said = one.answer_of(seat)
                out.line(f"\n{seat} saw in round {one.number}:", "bold")
                for line in lines[seat]:
                    out.line(f"[{line.role}] {line.text}")
                out.line(f"[said] {'' if said is None else said.message.text}")
        ruling = ruling_of(one) if one.rulings else None
        if isinstance(ruling, Ruling):
            words = "the answers agree" if ruling.consensus else f"no consensus: {ruling.direction or ''}"
            out.line(f"captain: {_short(words)}")


def _entries(lines: Sequence[Line]) -> str:
    """Who stood on the board that was new to the seat, in its order: the authors of its newest line."""
    newest = [line for line in lines if line.role == "user"][-1]
    authors = [
        s.author for s in newest.segments if s.author and s.phase == "prompt" and s.author not in _FRAMING
    ]
    return ", ".join(authors) or "the question"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= WIDEST else f"{line[: WIDEST - 1]}…"
