"""`symposia debate`: a question, a team, an answer with its cost."""

from __future__ import annotations

import typer

from symposia.cli import flags

from .command import debate
from .options import DebateOptions, RosterOptions
from .roster import roster


def register(app: typer.Typer) -> None:
    """Add the commands."""
    flags.add(app, "debate", DebateOptions, debate)
    flags.add(app, "debate-roster", RosterOptions, roster)
