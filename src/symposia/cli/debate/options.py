"""The flags of `symposia debate`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

Prompts = Literal["auto", "full", "short"]
Select = Literal["captain", "vote"]
Shows = Literal["answer", "full"]


@dataclass(frozen=True)
class DebateOptions:
    """What is asked, of whom, and how much it may cost."""

    question: Annotated[
        str | None, typer.Argument(metavar="QUESTION", help="The question, or - to read it from stdin.")
    ] = None
    file: Annotated[Path | None, typer.Option(help="Read the question from this file.")] = None
    model: Annotated[
        str | None, typer.Option(help="For every seat and the captain, unless they have their own.")
    ] = None
    team: Annotated[str | None, typer.Option(help="A team by name: A, B, C, roles. Default: A.")] = None
    seats: Annotated[str | None, typer.Option(help="Dispositions, by commas; see debate-roster.")] = None
    team_file: Annotated[Path | None, typer.Option("--team-file", help="A team as YAML.")] = None
    seat: Annotated[
        list[str] | None, typer.Option("--seat", metavar="NAME=MODEL", help="Another model for a seat.")
    ] = None
    captain: Annotated[
        str | None, typer.Option(metavar="MODEL|none", help="Who rules and chooses; the model if left out.")
    ] = None
    rounds: Annotated[int, typer.Option(help="At most so many rounds.")] = 3
    quorum: Annotated[int | None, typer.Option(help="Answers a round needs; two thirds if left out.")] = None
    stop: Annotated[
        str | None, typer.Option(metavar="RULE", help="captain, fixed:R, sprt, belief, or pkg.mod:rule.")
    ] = None
    select: Annotated[Select | None, typer.Option(help="Who chooses among answers that differ.")] = None
    orders: Annotated[int, typer.Option(help="Orders in which the captain sees the candidates.")] = 2
    shows: Annotated[Shows, typer.Option(help="Candidates as finished answers, or with reasons.")] = "answer"
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
    prompts: Annotated[Prompts, typer.Option(help="Length of what is said to models.")] = "auto"
    seed: Annotated[int, typer.Option(help="The root of all random streams.")] = 0
    temperature: Annotated[float, typer.Option(help="Of seats and captain.")] = 0.7
    concurrency: Annotated[int | None, typer.Option(min=1, help="Calls in flight at most.")] = None
    max_calls: Annotated[int | None, typer.Option("--max-calls", help="End rather than ask more often.")] = (
        None
    )
    max_tokens: Annotated[int | None, typer.Option("--max-tokens", help="End rather than use more.")] = None
    max_cost: Annotated[float | None, typer.Option("--max-cost", help="End rather than pay more USD.")] = None
    endpoints: Annotated[
        Path | None, typer.Option(metavar="FILE", help="YAML: endpoints of your own, as in a scenario file.")
    ] = None
    prices: Annotated[Path | None, typer.Option(help="YAML or JSON: USD per million tokens by model.")] = None
    rpm: Annotated[int | None, typer.Option(min=1, help="Requests a minute to each hosted endpoint.")] = None
    tpm: Annotated[int | None, typer.Option(min=1, help="Tokens a minute to each hosted endpoint.")] = None
    out: Annotated[
        Path | None, typer.Option(metavar="RUN", help="Keep everything here; the same again goes on.")
    ] = None
    json: Annotated[bool, typer.Option("--json", help="The whole result on stdout, as JSON.")] = False
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Also what was said.")] = False


@dataclass(frozen=True)
class RosterOptions:
    """Which size of the prompts is shown."""

    disposition: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Show what a seat of this disposition is told.")
    ] = None
    prompts: Annotated[Literal["full", "short"], typer.Option(help="Which size.")] = "full"
