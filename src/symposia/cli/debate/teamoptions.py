"""The flags that say who debates and under which rules: of `symposia debate` and of `symposia debate-eval`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

Prompts = Literal["auto", "full", "short"]
Select = Literal["captain", "vote"]
Shows = Literal["answer", "full"]


@dataclass(frozen=True)
class TeamOptions:
    """The team, its captain, the rules, the endpoints and what they may be asked."""

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
    stop: Annotated[
        str | None, typer.Option(metavar="RULE", help="captain, fixed:R, sprt, belief, or pkg.mod:rule.")
    ] = None
    select: Annotated[Select | None, typer.Option(help="Who chooses among answers that differ.")] = None
    orders: Annotated[int, typer.Option(help="Orders in which the captain sees the candidates.")] = 2
    shows: Annotated[Shows, typer.Option(help="Candidates as finished answers, or with reasons.")] = "answer"
    prompts: Annotated[Prompts, typer.Option(help="Length of what is said to models.")] = "auto"
    seed: Annotated[int, typer.Option(help="The root of all random streams.")] = 0
    endpoints: Annotated[
        Path | None, typer.Option(metavar="FILE", help="YAML: endpoints of your own, as in a scenario file.")
    ] = None
    prices: Annotated[Path | None, typer.Option(help="YAML or JSON: USD per million tokens by model.")] = None
    rpm: Annotated[int | None, typer.Option(min=1, help="Requests a minute to each hosted endpoint.")] = None
    tpm: Annotated[int | None, typer.Option(min=1, help="Tokens a minute to each hosted endpoint.")] = None
    out: Annotated[
        Path | None, typer.Option(metavar="RUN", help="Keep everything here; the same again goes on.")
    ] = None
