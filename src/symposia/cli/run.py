"""`symposia run`: one scenario file, one conversation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

from .world import guarded, this_world

Format = Literal["text", "json", "jsonl"]


@dataclass(frozen=True)
class RunOptions:
    """The flags of `symposia run`."""

    scenario: Annotated[Path, typer.Argument(metavar="SCENARIO.yaml", help="The scenario file.")]
    set: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="PATH=VALUE", help="Replace one value of the file; may be repeated."),
    ] = None
    turns: Annotated[
        int | None, typer.Option(min=1, help="Stop when the conversation has this many turns in all.")
    ] = None
    seed: Annotated[int | None, typer.Option(help="The root seed, in place of the file's.")] = None
    row: Annotated[int | None, typer.Option(min=0, help="Play this row of the data set, counted from 0.")] = (
        None
    )
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Keep conversation.json, transcript.md, events.jsonl.")
    ] = None
    format: Annotated[Format, typer.Option("--format", help="What stdout carries.")] = "text"
    json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out DIR.")] = False
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be asked; ask no model.")] = (
        False
    )
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Nothing on stderr but errors.")] = False
    allow_code: Annotated[
        bool,
        typer.Option(
            "--allow-code", help="Let the file load Python code (scripted:FILE.py:FUNCTION, and `code:`)."
        ),
    ] = False
    allow_mcp: Annotated[
        bool, typer.Option("--allow-mcp", help="Let the file start or connect to MCP servers (`mcp:`).")
    ] = False

    @property
    def shape(self) -> Format:
        """What stdout carries."""
        return "json" if self.json else self.format

    @property
    def settings(self) -> tuple[str, ...]:
        """Every replacement of a value of the file, `--seed` among them."""
        seed = () if self.seed is None else (f"seed={self.seed}",)
        return (*(self.set or ()), *seed)


def run(asked: RunOptions) -> int:
    """Play a scenario: stream it, keep it, go on with it."""
    from .play import play

    world = this_world(quiet=asked.quiet)
    return guarded(world, lambda: play(asked, world))
