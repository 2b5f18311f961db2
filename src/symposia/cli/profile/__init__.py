"""`symposia profile`: everything that makes a model behave as it does, by digest; aliases, and who moved them."""

from __future__ import annotations

import typer

from symposia.cli import flags

from .alias import AliasOptions, HistoryOptions, alias, history
from .audit import AuditOptions, audit
from .carry import ExportOptions, ImportOptions, export, take_in
from .commands import (
    ArchiveOptions,
    DiffOptions,
    ListOptions,
    ShowOptions,
    archive,
    diff,
    list_profiles,
    show,
)
from .create import CreateOptions, create


def register(app: typer.Typer) -> None:
    """Add the commands."""
    profile = typer.Typer(no_args_is_help=True, help="Named profiles: what a served model behaves by.")
    flags.add(profile, "create", CreateOptions, create)
    flags.add(profile, "list", ListOptions, list_profiles)
    flags.add(profile, "show", ShowOptions, show)
    flags.add(profile, "diff", DiffOptions, diff)
    flags.add(profile, "alias", AliasOptions, alias)
    flags.add(profile, "history", HistoryOptions, history)
    flags.add(profile, "archive", ArchiveOptions, archive)
    flags.add(profile, "audit", AuditOptions, audit)
    flags.add(profile, "export", ExportOptions, export)
    flags.add(profile, "import", ImportOptions, take_in)
    app.add_typer(profile, name="profile")
