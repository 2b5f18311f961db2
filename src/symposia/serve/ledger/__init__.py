"""The budget ledger's seam: hold before the first token, settle on every exit.

Per pool and field `used + reserved + free = limit` after every operation. The ledger's own clock tells the time, never
backwards.
"""

from __future__ import annotations

from typing import Literal, Protocol

from symposia.core.errors import SymposiaError
from symposia.core.served import Charged, Field
from symposia.core.value import Count, Value

Kind = Literal["budget", "rate"]


class Charge(Value, frozen=True, kw_only=True):
    """What one pool would be charged. `soft` is a fraction of `limit`; a window has `buckets` equal buckets."""

    pool: str
    field: Field
    amount: Count
    limit: Count
    soft: float = 0.8
    window_s: float = 3600.0
    buckets: int = 60
    kind: Kind = "budget"


class Standing(Value, frozen=True, kw_only=True):
    """How a pool stands: `used + reserved + free = limit`. `resets_s`: until what is held now has left."""

    pool: str
    field: Field
    used: int
    reserved: int
    limit: Count
    kind: Kind = "budget"
    resets_s: float = 0.0

    @property
    def free(self) -> int:
        """What still fits; below zero after an overrun, a late settlement or a lowered limit."""
        return self.limit - self.used - self.reserved

    def charged(self, amount: int) -> Charged:
        """What is told of a charge of so much that left it so."""
        return Charged(
            pool=self.pool,
            field=self.field,
            amount=amount,
            used=self.used,
            reserved=self.reserved,
            limit=self.limit,
        )


class Crossing(Value, frozen=True, kw_only=True):
    """A pool that reached its soft line just now. `fraction` is the line, of the limit."""

    standing: Standing
    fraction: float


class Lease(Value, frozen=True, kw_only=True):
    """A reservation. Times are the ledger's, in seconds; past `expires_s` it returns what it holds."""

    id: str
    charges: tuple[Charge, ...]
    admitted_s: float
    expires_s: float


class Held(Value, frozen=True, kw_only=True):
    """All charges fit, or hard limits are off. `over`: how those that did not fit stood before it."""

    lease: Lease
    standings: tuple[Standing, ...]
    crossings: tuple[Crossing, ...] = ()
    over: tuple[Standing, ...] = ()


class Refusal(Value, frozen=True, kw_only=True):
    """Nothing was taken. `charge` did not fit; `retry_after_s` is exact if nobody else comes; None: it never fits."""

    charge: Charge
    standing: Standing
    retry_after_s: float | None
    standings: tuple[Standing, ...]


class Settlement(Value, frozen=True, kw_only=True):
    """How a reservation ended: what was used of each charge, and how its pool stands.

    `again`: it had been settled before, and nothing changed; the amounts are zero.
    """

    outcome: Literal["settled", "released", "late"]
    amounts: tuple[Charged, ...] = ()
    crossings: tuple[Crossing, ...] = ()
    overrun: Count = 0
    again: bool = False


class LedgerUnreachable(SymposiaError):
    """The database behind a shared ledger did not answer."""


class Ledger(Protocol):
    """Reservations against pools. Every operation is atomic, over all replicas where the ledger is shared."""

    async def reserve(
        self, lease: str, charges: tuple[Charge, ...], *, ttl_s: float, hard: bool = True
    ) -> Held | Refusal:
        """All charges or none; `hard=False` takes them, fit or not. `lease` is the caller's new unique id.

        No two charges may be of the same pool and field. Without charges nothing is kept.
        """
        ...

    async def settle(self, lease: Lease, *, tokens: int, requests: int) -> Settlement:
        """Reserved becomes used, in the bucket of its admission. Twice is once. After expiry it charges too: `late`.

        A bucket that has left its window meanwhile is charged no more. A lease is late for an hour, then unknown.
        """
        ...

    async def expire(self) -> tuple[Lease, ...]:
        """The leases whose time ran out; each is reported once over all replicas. What they held is returned already.

        Also forgets pools long empty: call it every second or so.
        """
        ...

    async def standings(self, pools: tuple[Charge, ...] = ()) -> tuple[Standing, ...]:
        """Every live pool, or those of `pools` (their `amount` does not matter)."""
        ...

    async def reset(self, pool: str) -> None:
        """Empty a pool; its open leases settle as used nothing."""
        ...

    async def ping(self) -> None:
        """Raise `LedgerUnreachable` if it cannot be asked."""
        ...

    async def aclose(self) -> None:
        """Let go of connections."""
        ...
