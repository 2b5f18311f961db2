"""`symposia lens tokens | logits | project | patch`: reading a stored conversation as one of its speakers."""

from __future__ import annotations

import typer

from symposia.cli import flags

from .logits import LogitsOptions, logits
from .patch import PatchOptions, patch
from .project import ProjectOptions, project
from .tokens import TokensOptions, tokens


def register(app: typer.Typer) -> None:
    """Add the commands to the group `lens`."""
    flags.add(app, "tokens", TokensOptions, tokens)
    flags.add(app, "logits", LogitsOptions, logits)
    flags.add(app, "project", ProjectOptions, project)
    flags.add(app, "patch", PatchOptions, patch)
