"""`symposia traces`: what a server wrote down of its requests, watched, counted, read, handed on."""

from __future__ import annotations

import typer

from symposia.cli import flags

from .export import ExportOptions, export
from .read import ReadOptions, read
from .stats import StatsOptions, stats
from .tail import TailOptions, tail


def register(app: typer.Typer) -> None:
    """Add the group."""
    traces = typer.Typer(no_args_is_help=True, help="What a server wrote down of its requests.")
    flags.add(traces, "tail", TailOptions, tail)
    flags.add(traces, "stats", StatsOptions, stats)
    flags.add(traces, "read", ReadOptions, read)
    flags.add(traces, "export", ExportOptions, export)
    app.add_typer(traces, name="traces")
