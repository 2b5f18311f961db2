"""`symposia debate-eval` and `symposia tasks`: methods side by side on questions with one right answer."""

from __future__ import annotations

import typer

from symposia.cli import flags

from .evaluate import debate_eval
from .options import EvalOptions, TaskListOptions, TaskMakeOptions
from .tasks import list_tasks, make_tasks


def register(app: typer.Typer) -> None:
    """Add the commands."""
    flags.add(app, "debate-eval", EvalOptions, debate_eval)
    tasks = typer.Typer(no_args_is_help=True, help="Questions with one right answer: what ships, and more.")
    flags.add(tasks, "list", TaskListOptions, list_tasks)
    flags.add(tasks, "make", TaskMakeOptions, make_tasks)
    app.add_typer(tasks, name="tasks")
