"""The flags of `symposia debate`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

from .teamoptions import TeamOptions


@dataclass(frozen=True)
class DebateOptions(TeamOptions):
    """What is asked, of whom, and how much it may cost."""

    question: Annotated[
        str | None, typer.Argument(metavar="QUESTION", help="The question, or - to read it from stdin.")
    ] = None
    file: Annotated[Path | None, typer.Option(help="Read the question from this file.")] = None
    model: Annotated[
        str | None, typer.Option(help="For every seat and the captain, unless they have their own.")
    ] = None
    quorum: Annotated[int | None, typer.Option(help="Answers a round needs; two thirds if left out.")] = None
    protocol: Annotated[
        str | None, typer.Option(metavar="NAME", help="parallel_consensus, or tool_grounded with --tools.")
    ] = None
    tools: Annotated[str | None, typer.Option(help="Tools for the seats, by commas: calculator.")] = None
    options: Annotated[
        str | None, typer.Option(metavar="A,B,C,D", help="The answers the question allows.")
    ] = None
    beliefs: Annotated[bool, typer.Option("--beliefs", help="Read what each seat holds true.")] = False
    baseline: Annotated[
        bool, typer.Option("--baseline", help="Also ask once, and as often as the debate did.")
    ] = False
    temperature: Annotated[float, typer.Option(help="Of seats and captain.")] = 0.7
    concurrency: Annotated[int | None, typer.Option(min=1, help="Calls in flight at most.")] = None
    max_calls: Annotated[int | None, typer.Option("--max-calls", help="End rather than ask more often.")] = (
        None
    )
    max_tokens: Annotated[int | None, typer.Option("--max-tokens", help="End rather than use more.")] = None
    max_cost: Annotated[float | None, typer.Option("--max-cost", help="End rather than pay more USD.")] = None
    json: Annotated[bool, typer.Option("--json", help="The whole result on stdout, as JSON.")] = False
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Also what was said.")] = False


@dataclass(frozen=True)
class RosterOptions:
    """Which size of the prompts is shown."""

    disposition: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Show what a seat of this disposition is told.")
    ] = None
    prompts: Annotated[Literal["full", "short"], typer.Option(help="Which size.")] = "full"
