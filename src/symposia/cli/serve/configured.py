"""From flags, environment and file to settings and a budget policy; and what keeps a server from starting."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from symposia.serve.budget import CostPolicy, policy_of, read
from symposia.serve.settings import Settings
from symposia.serve.snapshot import Snapshot

from .said import said


class Configured(NamedTuple):
    """What a server is to be. `policy` None: the one in the store stays."""

    settings: Settings
    policy: CostPolicy | None


def configured(flags: Mapping[str, object], env: Mapping[str, str], file: Path | None) -> Configured:
    """Settings and policy. `InvalidInput`, `AmbiguousBudget` among it."""
    settings, path, table = said(flags, env, file)
    if settings.budget is not None:
        return Configured(settings, read(Path(settings.budget)))
    written = table.get("budget")
    policy = policy_of(written, f"{path} [serve.budget]") if isinstance(written, Mapping) else None
    return Configured(settings, policy)


def refusals(settings: Settings, view: Snapshot, now: float) -> Iterator[str]:
    """Why this server must not start, and what to do about it."""
    if settings.insecure_dev:
        if not settings.is_local:
            yield (
                f"--insecure-dev answers everybody, and {settings.host} is not this machine alone; "
                "expected --host 127.0.0.1"
            )
    elif not any(
        "inference" in caller.scopes and caller.ended(now) is None for caller in view.callers.values()
    ):
        yield (
            "no usable key with scope inference; make one: symposia keys create --name app --scope inference; "
            "or serve this machine without keys: symposia serve --insecure-dev"
        )
    for model, alias, digest in view.dangling:
        yield (
            f"alias {model} {alias} points at {digest}, which no live profile has; "
            f"move it: symposia profile alias {model} {alias} none --expect {digest} --reason dangling"
        )
    if settings.workers > 1 and settings.port == 0:
        yield "--workers above 1 and port 0: their ports are consecutive; choose the first: --port 8080"
    if settings.workers > 1 and settings.ledger == "memory":
        yield (
            "--workers above 1 and the memory ledger: each process would count alone; "
            "share one: --ledger sqlite:ledger.db"
        )
