"""`symposia budget`: what may be spent, what is spent, and the ways to unblock it."""

from __future__ import annotations

import typer

from symposia.cli import flags

from .change import HardOptions, ResetOptions, SetOptions, hard_limits, reset, set_budget
from .look import CheckOptions, ShowOptions, UsageOptions, check, show, usage


def register(app: typer.Typer) -> None:
    """Add the commands."""
    budget = typer.Typer(no_args_is_help=True, help="Budgets of a server: the policy, and how pools stand.")
    flags.add(budget, "show", ShowOptions, show)
    flags.add(budget, "check", CheckOptions, check)
    flags.add(budget, "set", SetOptions, set_budget)
    flags.add(budget, "usage", UsageOptions, usage)
    flags.add(budget, "hard-limits", HardOptions, hard_limits)
    flags.add(budget, "reset", ResetOptions, reset)
    app.add_typer(budget, name="budget")
