"""`symposia keys`: who may ask a server what."""

from __future__ import annotations

import typer

from symposia.cli import flags

from .commands import (
    CreateOptions,
    ListOptions,
    RevokeOptions,
    RotateOptions,
    create,
    list_keys,
    revoke,
    rotate,
)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    keys = typer.Typer(no_args_is_help=True, help="Keys of a server: made, listed, replaced, revoked.")
    flags.add(keys, "create", CreateOptions, create)
    flags.add(keys, "list", ListOptions, list_keys)
    flags.add(keys, "revoke", RevokeOptions, revoke)
    flags.add(keys, "rotate", RotateOptions, rotate)
    app.add_typer(keys, name="keys")
