"""A budget ledger told a second time, without buckets, shapes or sums: a list of everything that was ever charged."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from symposia.serve.ledger import Charge

TICK = 1_000_000


def grid(charge: Charge) -> tuple[int, int]:
    """Ticks a bucket, and buckets."""
    return max(1, math.ceil(round(charge.window_s * TICK) / charge.buckets)), charge.buckets


def leaving(at: int, charge: Charge) -> int:
    delta, buckets = grid(charge)
    return (at // delta + buckets + 1) * delta


@dataclass
class Entry:
    """One charge of one lease. `counted` is its amount while open, then what was used."""

    lease: str
    admitted: int
    leaves: int
    reserved: int
    used: int = 0
    forgotten: bool = False


@dataclass
class Pool:
    charge: Charge
    latest: int
    entries: list[Entry] = field(default_factory=list)
    armed: bool = True

    def live(self, now: int) -> list[Entry]:
        return [entry for entry in self.entries if entry.leaves > now]

    def stands(self, now: int) -> tuple[int, int]:
        live = self.live(now)
        return sum(e.used for e in live), sum(e.reserved for e in live)

    def level(self, now: int) -> int:
        return sum(self.stands(now))

    def resets(self, now: int) -> int:
        return max((e.leaves - now for e in self.live(now) if e.used or e.reserved), default=0)

    def in_the_last_window(self, now: int) -> int:
        """What was admitted in the real interval of one window that ends now; not what came before a change of it."""
        since = now - round(self.charge.window_s * TICK)
        return sum(e.used + e.reserved for e in self.entries if e.admitted > since and not e.forgotten)


@dataclass
class Open:
    id: str
    charges: tuple[Charge, ...]
    admitted: int
    expires: int


class Oracle:
    """What a ledger must answer. `now` is the clock; a pool's own time never goes back."""

    def __init__(self) -> None:
        self.pools: dict[tuple[str, str], Pool] = {}
        self.open: dict[str, Open] = {}
        self.returned: dict[str, Open] = {}
        self.unreported: list[str] = []

    def overdue(self, now: int) -> None:
        for lease in [lease for lease in self.open.values() if lease.expires <= now]:
            del self.open[lease.id]
            self.returned[lease.id] = lease
            self.unreported.append(lease.id)
            self._change(lease, now, {}, late=False)

    def meet(self, charge: Charge, now: int) -> Pool:
        pool = self.pools.setdefault((charge.pool, charge.field), Pool(charge, now))
        pool.latest = now
        self._rearm(pool, now)  # by its line of old: what has left may have brought it below
        if grid(charge) != grid(pool.charge):
            for entry in pool.entries:
                if entry.leaves > now:
                    entry.leaves = leaving(now, charge)
                else:
                    entry.forgotten = True
        pool.charge = charge
        self._rearm(pool, now)
        return pool

    def effective(self, charges: tuple[Charge, ...], now: int) -> int:
        known = [self.pools.get((c.pool, c.field)) for c in charges]
        return max([now, *(pool.latest for pool in known if pool)])

    def fits(self, charges: tuple[Charge, ...], at: int) -> bool:
        return all(self.pools[c.pool, c.field].level(at) + c.amount <= c.limit for c in charges)

    def fits_at(self, charges: tuple[Charge, ...], now: int) -> int | None:
        """The first moment at which all fit if nobody comes, by trying every moment at which anything leaves."""
        moments = {e.leaves for c in charges for e in self.pools[c.pool, c.field].live(now)}
        return next((at for at in sorted({now, *moments}) if self.fits(charges, at)), None)

    def hold(self, lease: str, charges: tuple[Charge, ...], now: int, ttl: int) -> list[tuple[str, str]]:
        """Take them; the pools that reach their soft line."""
        self.open[lease] = Open(lease, charges, now, now + ttl)
        crossed = []
        for charge in charges:
            pool = self.pools[charge.pool, charge.field]
            pool.entries.append(Entry(lease, now, leaving(now, charge), charge.amount))
            crossed += [(charge.pool, charge.field)] * self._crosses(pool, now)
        return crossed

    def settle(self, lease: str, now: int, amounts: dict[str, int]) -> tuple[str, list[tuple[str, str]]]:
        """How it ended, and the pools that reach their soft line. "again" if it had ended before."""
        late = lease in self.returned
        known = (self.returned if late else self.open).pop(lease, None)
        if known is None:
            return "again", []
        crossed = self._change(known, now, amounts, late=late)
        return ("late" if late else "settled" if any(amounts.values()) else "released"), crossed

    def reset(self, name: str, now: int) -> None:
        for (pool, _), kept in self.pools.items():
            if pool == name:
                kept.latest = max(now, kept.latest) + 1
                kept.entries, kept.armed = [], True

    def _change(self, lease: Open, now: int, amounts: dict[str, int], *, late: bool) -> list[tuple[str, str]]:
        crossed = []
        for charge in lease.charges:
            pool = self.pools[charge.pool, charge.field]
            pool.latest = max(now, pool.latest)
            self._rearm(pool, pool.latest)
            for entry in pool.entries:
                if entry.lease == lease.id:
                    entry.used, entry.reserved = amounts.get(charge.field, 0), 0
                    if entry.leaves > pool.latest:
                        crossed += [(charge.pool, charge.field)] * self._crosses(pool, pool.latest)
            self._rearm(pool, pool.latest)
        return crossed

    def _crosses(self, pool: Pool, now: int) -> bool:
        charge = pool.charge
        reached = pool.armed and pool.level(now) >= max(1, math.ceil(charge.soft * charge.limit - 1e-6))
        pool.armed = pool.armed and not reached
        return reached

    def _rearm(self, pool: Pool, now: int) -> None:
        charge = pool.charge
        if pool.level(now) < max(1, math.ceil(charge.soft * charge.limit - 1e-6)):
            pool.armed = True
