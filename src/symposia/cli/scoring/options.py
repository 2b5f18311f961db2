"""The flags of `symposia debate-eval` and `symposia tasks`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

from symposia.cli.debate.teamoptions import TeamOptions

Counting = Literal["fresh", "total"]


@dataclass(frozen=True)
class EvalOptions(TeamOptions):
    """What is asked, by which methods, of whom."""

    tasks: Annotated[
        str | None, typer.Option(metavar="NAME,NAME", help="Task sets that ship; see symposia tasks list.")
    ] = None
    file: Annotated[Path | None, typer.Option(help="A task file of your own, JSONL or CSV.")] = None
    format: Annotated[
        str, typer.Option("--format", help="Of --file: native, gsm8k, math500, gpqa, truthfulqa.")
    ] = "native"
    methods: Annotated[
        str,
        typer.Option(
            help="By commas; a method is NAME or NAME:OPTIONS, such as sc:5 or debate:max_rounds=2."
        ),
    ] = "single,sc@calls,sc@tokens,usc@calls,debate"
    model: Annotated[str | None, typer.Option(help="Every method's, and each seat's without its own.")] = None
    n: Annotated[int | None, typer.Option("--n", min=1, help="The first so many items of each task.")] = None
    repeats: Annotated[int, typer.Option(min=1, help="Every item so often, with seeds of its own.")] = 1
    tools: Annotated[
        str | None, typer.Option(help="Tools for samples and seats, by commas: calculator, run_python.")
    ] = None
    temperature: Annotated[float, typer.Option(min=0.0, help="Of all methods.")] = 0.7
    reply_tokens: Annotated[
        int | None, typer.Option("--reply-tokens", min=1, help="Of one reply at most.")
    ] = None
    count: Annotated[Counting, typer.Option(help="Tokens a budget counts: those no cache held, or all.")] = (
        "fresh"
    )
    concurrency: Annotated[int, typer.Option(min=1, help="Items under way at once.")] = 4
    json: Annotated[bool, typer.Option("--json", help="The scorecard on stdout, as JSON.")] = False
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Nothing on stderr but errors.")] = False


@dataclass(frozen=True)
class TaskListOptions:
    """The flags of `symposia tasks list`."""

    json: Annotated[bool, typer.Option("--json", help="For programs.")] = False


@dataclass(frozen=True)
class TaskMakeOptions:
    """The flags of `symposia tasks make`."""

    name: Annotated[str, typer.Argument(metavar="NAME", help="A task set; see symposia tasks list.")]
    n: Annotated[int, typer.Option("--n", min=1, help="How many items.")] = 60
    seed: Annotated[int, typer.Option(help="Other seeds, other questions; 0 gives what ships.")] = 0
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write here instead of to stdout.")] = None
