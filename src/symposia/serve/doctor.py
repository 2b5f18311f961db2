"""What the doctor looks at here: the libraries that a server stands on, and those it can do without."""

from __future__ import annotations

from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from symposia.core.doctor import Check, DoctorContext, Finding, Remedy

NEEDED: Final = ("starlette", "uvicorn", "uvloop", "httptools", "aiohttp", "prometheus-client")
EXTRAS: Final = {"granian": "granian", "redis": "redis", "otel": "opentelemetry-sdk"}
_INSTALL = Remedy("Install what serving needs", ("pip install 'symposia[serve]'",))


def doctor_checks() -> tuple[Check, ...]:
    """Whether `symposia serve` can run here, and with what."""
    return (
        *(Check(f"serve.{package}", partial(_needed, package)) for package in NEEDED),
        *(Check(f"serve.{extra}", partial(_extra, extra, package)) for extra, package in EXTRAS.items()),
    )


def _needed(package: str, context: DoctorContext) -> Finding:
    del context
    try:
        return Finding("ok", f"{package} {version(package)}")
    except PackageNotFoundError:
        return Finding("fail", f"{package} is not installed: no serving", remedies=(_INSTALL,))


def _extra(extra: str, package: str, context: DoctorContext) -> Finding:
    del context
    try:
        return Finding("ok", f"{package} {version(package)}")
    except PackageNotFoundError:
        return Finding("skip", f"{package} is not installed (pip install 'symposia[{extra}]')")
