"""A budget ledger of one process: plain dictionaries on its event loop. After a restart `fold` makes it from events."""

from __future__ import annotations

import heapq

from symposia.core.clock import Clock

from . import Charge, Held, Lease, Refusal, Settlement, Standing
from .pools import (
    Pool,
    again,
    alive,
    distinct,
    forgotten,
    give_back,
    granted,
    hold,
    looked,
    made,
    remembered,
    settle,
)
from .window import Window, ticks

_THEN = 0
"""Before all that was restored: no window moves on, as only admissions tell when they were."""


class MemoryLedger:
    """The ledger of one process. Its time is the clock's monotonic one, begun at the clock's epoch seconds."""

    def __init__(self, clock: Clock) -> None:
        self._monotonic = clock.monotonic
        self._began = clock.time() - clock.monotonic()
        self._windows: dict[Pool, Window] = {}
        self._open: dict[str, tuple[Lease, list[Window]]] = {}
        self._due: list[tuple[int, str]] = []
        self._returned: dict[str, Lease] = {}
        self._unreported: list[Lease] = []

    async def reserve(
        self, lease: str, charges: tuple[Charge, ...], *, ttl_s: float, hard: bool = True
    ) -> Held | Refusal:
        """As `Ledger.reserve`."""
        now = self._now()
        if self._due and self._due[0][0] <= now:
            self._return_overdue(now)
        windows = [self._windows.get((c.pool, c.field)) or self._made(c, now) for c in charges]
        if len(set(windows)) < len(windows):
            distinct(charges)
        for window in windows:
            now = max(now, window.latest)
        ttl = ticks(ttl_s)
        wanted = granted(lease, charges, now, ttl)
        answer = hold(windows, wanted, now, hard=hard)
        if charges and isinstance(answer, Held):
            self._keep(wanted, windows, now + ttl)
        return answer

    async def settle(self, lease: Lease, *, tokens: int, requests: int) -> Settlement:
        """As `Ledger.settle`."""
        now = self._now()
        if self._due and self._due[0][0] <= now:
            self._return_overdue(now)
        found = self._open.pop(lease.id, None)
        if found is not None:
            return settle(found[1], lease, now, tokens=tokens, requests=requests, late=False)
        windows = self._of(lease.charges)
        if self._returned.pop(lease.id, None) is not None:
            return settle(windows, lease, now, tokens=tokens, requests=requests, late=True)
        if lease.charges:
            return again(windows, lease, now)
        return settle((), lease, now, tokens=tokens, requests=requests, late=False)

    async def expire(self) -> tuple[Lease, ...]:
        """As `Ledger.expire`."""
        now = self._now()
        self._return_overdue(now)
        found, self._unreported = tuple(self._unreported), []
        self._returned = {lease.id: lease for lease in self._returned.values() if remembered(lease) > now}
        self._windows = {pool: window for pool, window in self._windows.items() if forgotten(window) > now}
        return found

    async def standings(self, pools: tuple[Charge, ...] = ()) -> tuple[Standing, ...]:
        """As `Ledger.standings`."""
        now = self._now()
        self._return_overdue(now)
        if pools:
            return looked(self._of(pools), pools, now)
        return alive(self._windows, now)

    async def reset(self, pool: str) -> None:
        """As `Ledger.reset`."""
        self._clear(pool, self._now())

    async def ping(self) -> None:
        """It can always be asked."""

    async def aclose(self) -> None:
        """There is nothing to let go of."""

    def restore(self, lease: Lease) -> None:
        """Hold again what a process before this one held; in the order it did."""
        if not lease.charges:
            return
        admitted = ticks(lease.admitted_s)
        windows = [self._windows.get((c.pool, c.field)) or self._made(c, admitted) for c in lease.charges]
        hold(windows, lease, admitted, hard=False)
        self._keep(lease, windows, ticks(lease.expires_s))

    def restore_settled(self, lease: Lease, *, tokens: int, requests: int) -> None:
        """Settle again what was settled then."""
        late = self._returned.pop(lease.id, None) is not None
        if late or self._open.pop(lease.id, None) is not None:
            settle(self._of(lease.charges), lease, _THEN, tokens=tokens, requests=requests, late=late)

    def restore_expired(self, lease: Lease) -> None:
        """Return again what was returned overdue, and reported."""
        if self._open.pop(lease.id, None) is not None:
            give_back(self._of(lease.charges), lease, _THEN)
            self._returned[lease.id] = lease

    def restore_reset(self, pool: str) -> None:
        """Empty a pool again."""
        self._clear(pool, _THEN)

    def _clear(self, pool: str, now: int) -> None:
        for (name, _), window in self._windows.items():
            if name == pool:
                window.clear(max(now, window.latest))

    def _now(self) -> int:
        return ticks(self._began + self._monotonic())

    def _of(self, charges: tuple[Charge, ...]) -> list[Window | None]:
        return [self._windows.get((charge.pool, charge.field)) for charge in charges]

    def _made(self, charge: Charge, now: int) -> Window:
        window = self._windows[charge.pool, charge.field] = made(charge, now)
        return window

    def _keep(self, lease: Lease, windows: list[Window], due: int) -> None:
        self._open[lease.id] = lease, windows
        heapq.heappush(self._due, (due, lease.id))
        if len(self._due) > 2 * len(self._open) + 64:  # most were settled before they were due
            self._due = [(ticks(each.expires_s), each.id) for each, _ in self._open.values()]
            heapq.heapify(self._due)

    def _return_overdue(self, now: int) -> None:
        while self._due and self._due[0][0] <= now:
            found = self._open.pop(heapq.heappop(self._due)[1], None)
            if found is not None:
                lease, windows = found
                give_back(windows, lease, now)
                self._returned[lease.id] = lease
                self._unreported.append(lease)
