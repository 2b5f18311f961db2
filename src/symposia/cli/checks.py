"""Every package's checks, and the command line's own: its libraries and the terminal."""

from __future__ import annotations

from functools import partial
from importlib.metadata import version

from symposia.backends.doctor import doctor_checks as backend_checks
from symposia.core.doctor import Check, DoctorContext, Finding
from symposia.core.doctor import doctor_checks as core_checks
from symposia.engine import doctor_checks as engine_checks
from symposia.evals.doctor import doctor_checks as evals_checks
from symposia.serve.doctor import doctor_checks as serve_checks
from symposia.store.doctor import doctor_checks as store_checks

_OWN = {"typer": "typer", "rich": "rich", "yaml": "PyYAML"}


def every_check(tty: bool) -> tuple[Check, ...]:
    """All packages' checks. `tty`: whether a person looks at stdout."""
    return (
        *core_checks(),
        *doctor_checks(tty),
        *store_checks(),
        *serve_checks(),
        *backend_checks(),
        *engine_checks(),
        *evals_checks(),
    )


def doctor_checks(tty: bool) -> tuple[Check, ...]:
    """The command line's own."""
    return (
        *(Check(f"cli.{name}", partial(_present, package)) for name, package in _OWN.items()),
        Check("cli.terminal", partial(_terminal, tty)),
    )


def _present(package: str, context: DoctorContext) -> Finding:
    del context
    return Finding("ok", f"{package} {version(package)}")


def _terminal(tty: bool, context: DoctorContext) -> Finding:
    kind = context.env.get("TERM", "")
    if not tty:
        return Finding("ok", "no terminal: output is plain lines", {"TERM": kind})
    colours = context.env.get("COLORTERM", "") or "as TERM says"
    return Finding("ok", f"terminal {kind or '?'}, colours: {colours}", {"TERM": kind})
