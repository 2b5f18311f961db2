"""What the doctor looks at here: the providers' SDKs, and whether their keys are there. Nothing is asked or shown."""

from __future__ import annotations

from functools import partial
from importlib.metadata import PackageNotFoundError, version

from symposia.core.doctor import Check, DoctorContext, Finding
from symposia.core.errors import InvalidInput

from .endpoint import BUILT_IN
from .keys import read_key

_SDKS = ("openai", "anthropic")


def doctor_checks() -> tuple[Check, ...]:
    """Whether hosted models can be asked from here."""
    return (
        *(Check(f"backends.{name}", partial(_installed, name)) for name in _SDKS),
        Check("backends.keys", _keys),
    )


def _installed(package: str, context: DoctorContext) -> Finding:
    del context
    try:
        return Finding("ok", f"{package} {version(package)}")
    except PackageNotFoundError:
        return Finding(
            "skip",
            f"{package} is not installed: its models cannot be asked (pip install 'symposia[{package}]')",
        )


def _keys(context: DoctorContext) -> Finding:
    """Which of the built-in endpoints that want a key find one."""
    found = [name for name, endpoint in BUILT_IN.items() if endpoint.usual_key and _has_key(name, context)]
    if not found:
        return Finding(
            "skip", "no key of a hosted endpoint is set: symposia endpoints list names the variables"
        )
    return Finding("ok", f"keys are there for {', '.join(found)}")


def _has_key(name: str, context: DoctorContext) -> bool:
    try:
        read_key(None, endpoint=name, usual=BUILT_IN[name].usual_key, env=context.env)
    except InvalidInput:
        return False
    return True
