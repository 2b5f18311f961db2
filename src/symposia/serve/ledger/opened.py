"""A ledger by its address."""

from __future__ import annotations

from symposia.core.clock import Clock
from symposia.core.errors import InvalidInput

from . import Ledger
from .memory import MemoryLedger


def opened(url: str, *, clock: Clock) -> Ledger:
    """`memory`. `InvalidInput` names the forms there are."""
    if url == "memory":
        return MemoryLedger(clock)
    raise InvalidInput(f"ledger {url!r}: expected memory")
