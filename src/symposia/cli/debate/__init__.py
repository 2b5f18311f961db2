"""`symposia debate`: a question, a team, an answer with its cost."""

from __future__ import annotations

import typer

from symposia.cli import flags

from .audit import debate_audit
from .command import debate
from .options import DebateOptions, RosterOptions
from .replay import debate_replay
from .replayoptions import AuditOptions, ReplayOptions
from .roster import roster


def register(app: typer.Typer) -> None:
    """Add the commands."""
    flags.add(app, "debate", DebateOptions, debate)
    flags.add(app, "debate-roster", RosterOptions, roster)
    flags.add(app, "debate-replay", ReplayOptions, debate_replay)
    flags.add(app, "debate-audit", AuditOptions, debate_audit)
