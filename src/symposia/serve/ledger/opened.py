"""A ledger by its address."""

from __future__ import annotations

from pathlib import Path

from symposia.core.clock import Clock
from symposia.core.errors import InvalidInput

from . import Ledger
from .memory import MemoryLedger
from .postgres import PostgresLedger
from .redis import RedisLedger
from .sqlite import SqliteLedger

FORMS = "memory, sqlite:PATH, postgresql://… or redis://… (rediss://… with TLS, unix://PATH)"


def opened(url: str, *, clock: Clock, namespace: str = "") -> Ledger:
    """The ledger at `url`; nothing is asked of it yet. `InvalidInput` names the forms there are.

    `clock` tells the time of `memory` and `sqlite`; the others have their server's. `namespace` keeps the tables or
    keys of several ledgers in one database apart.
    """
    scheme, _, rest = url.partition(":")
    match scheme:
        case "memory" if not rest:
            return MemoryLedger(clock)
        case "sqlite" if rest:
            return SqliteLedger(Path(rest), clock)
        case "postgresql" | "postgres":
            return PostgresLedger(url, namespace=namespace)
        case "redis" | "rediss" | "unix":
            return RedisLedger(url, namespace=namespace)
    raise InvalidInput(f"ledger {scheme!r}: expected {FORMS}")
