"""What the doctor asks of this package: whether the task sets that ship are whole."""

from __future__ import annotations

from functools import partial

from symposia.core.doctor import Check, DoctorContext, Finding, Remedy
from symposia.core.errors import SymposiaError

from .tasks.sets import SETS, SHIPPED, shipped


def doctor_checks() -> tuple[Check, ...]:
    """One check a task set."""
    return tuple(Check(f"evals.{name}", partial(_shipped, name)) for name in SETS)


def _shipped(name: str, context: DoctorContext) -> Finding:
    del context
    again = Remedy("install the package again", ("pip install --force-reinstall --no-deps symposia",))
    try:
        items = shipped(name)
    except (SymposiaError, OSError) as error:
        return Finding("fail", f"the task set {name} cannot be read: {error}", remedies=(again,))
    if len(items) != SHIPPED:
        return Finding("fail", f"{name} has {len(items)} of {SHIPPED} items", remedies=(again,))
    return Finding("ok", f"{name}: {len(items)} items")
