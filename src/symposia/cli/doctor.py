"""`symposia doctor`: every package's checks, and what this machine has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from .world import World, guarded, this_world

if TYPE_CHECKING:
    from symposia.core.doctor import Report

_STYLE = {"ok": "green", "warn": "yellow", "fail": "bold red", "skip": "dim"}


@dataclass(frozen=True)
class DoctorOptions:
    """The flags of `symposia doctor`."""

    json: Annotated[bool, typer.Option("--json", help="The report for programs.")] = False
    strict: Annotated[bool, typer.Option("--strict", help="Exit 1 if a check fails.")] = False
    load: Annotated[bool, typer.Option("--load", help="Also load the bundled model and let it speak.")] = (
        False
    )


def doctor(asked: DoctorOptions) -> int:
    """Look at what is installed; say what is missing and how to get it."""
    world = this_world()
    return guarded(world, lambda: _doctor(asked, world))


def _doctor(asked: DoctorOptions, world: World) -> int:
    from pathlib import Path

    from symposia.core.doctor import DoctorContext, Strict, run_checks
    from symposia.core.value import canonical

    from .checks import every_check

    options = frozenset({"load"}) if asked.load else frozenset()
    context = DoctorContext(world.env, Path.cwd(), options, world.redactor)
    report = run_checks(every_check(world.out.tty), context, Strict(enabled=asked.strict), clock=world.clock)
    if asked.json:
        world.out.piece(canonical(report).decode() + "\n")
    else:
        _print(report, world)
    return report.exit_code


def _print(report: Report, world: World) -> None:
    width = max(len(check.id) for check in report.checks)
    for check in report.checks:
        world.out.piece(f"{check.status:<5} ", _STYLE[check.status])
        world.out.line(f"{check.id:<{width}}  {check.message}")
    for remedy in report.remediation:
        world.out.line()
        world.out.line(f"{remedy.check_id}: {remedy.action}")
        for command in remedy.commands:
            world.out.line(f"  {command}", "bold")
    counts = report.summary
    world.out.line()
    world.out.line(
        f"{counts.ok} ok, {counts.warn} warnings, {counts.fail} failures, {counts.skip} skipped", "dim"
    )
