"""What the doctor looks at here: the libraries that a server stands on, and those it can do without."""

from __future__ import annotations

from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from symposia.core.doctor import Check, DoctorContext, Finding

NEEDED: Final = ("starlette", "uvicorn", "uvloop", "httptools", "aiohttp", "prometheus-client")
EXTRAS: Final = {"granian": "granian", "otel": "opentelemetry-sdk"}


def doctor_checks() -> tuple[Check, ...]:
    """Whether `symposia serve` can run here, and with what."""
    return tuple(_check("serve", package) for package in NEEDED) + tuple(
        _check(extra, package) for extra, package in EXTRAS.items()
    )


def _check(extra: str, package: str) -> Check:
    return Check(f"serve.{package.replace('-', '_')}", partial(_installed, extra, package))


def _installed(extra: str, package: str, context: DoctorContext) -> Finding:
    del context
    try:
        return Finding("ok", f"{package} {version(package)}")
    except PackageNotFoundError:
        return Finding("skip", f"{package} is not installed (pip install 'symposia[{extra}]')")
