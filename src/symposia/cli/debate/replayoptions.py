"""The flags of `symposia debate-replay` and `symposia debate-audit`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

Repeated = list[str] | None


@dataclass(frozen=True)
class ReplayOptions:
    """Which debate, and what is changed in it."""

    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a debate that was held.")]
    debate: Annotated[str | None, typer.Option(metavar="ID", help="Which one, where there are several.")] = (
        None
    )
    mute: Annotated[
        Repeated, typer.Option("--mute", metavar="SEAT[:ROUND]", help="Nobody else hears it.")
    ] = None
    patch: Annotated[
        Repeated, typer.Option("--patch", metavar="SEAT:ROUND=FILE", help="It says this text instead.")
    ] = None
    profile: Annotated[
        Repeated,
        typer.Option(
            "--profile", metavar="SEAT[:ROUND]=PROFILE", help="A model address, or a file with a profile."
        ),
    ] = None
    direct: Annotated[
        Repeated, typer.Option("--direct", metavar="ROUND=FILE", help="The captain's direction is this.")
    ] = None
    repeats: Annotated[
        int | None,
        typer.Option(min=0, help="Paired repeats with and without the change; 8 if left out, 1 if greedy."),
    ] = None
    shapley: Annotated[bool, typer.Option("--shapley", help="What each seat is worth to the answer.")] = False
    answer: Annotated[
        str | None, typer.Option(help="The right answer, for --shapley; the answer there was if left out.")
    ] = None
    yes: Annotated[bool, typer.Option("--yes", help="Hold more than 50 debates for --shapley.")] = False
    endpoints: Annotated[
        Path | None, typer.Option(metavar="FILE", help="YAML: endpoints of your own, as in a scenario file.")
    ] = None
    json: Annotated[bool, typer.Option("--json", help="The whole result on stdout, as JSON.")] = False


@dataclass(frozen=True)
class AuditOptions:
    """Which run's selections are repeated."""

    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of debates that were held.")]
    endpoints: Annotated[
        Path | None, typer.Option(metavar="FILE", help="YAML: endpoints of your own, as in a scenario file.")
    ] = None
    json: Annotated[bool, typer.Option("--json", help="The whole audit on stdout, as JSON.")] = False
