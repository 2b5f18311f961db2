"""A budget ledger in PostgreSQL: replicas. One transaction an operation, its windows' rows locked in order of name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from symposia.core.clock import Clock
from symposia.core.errors import InvalidInput

from . import Charge, Held, Lease, Refusal, Settlement, Standing
from .connections import Connections
from .pools import (
    Pool,
    again,
    alive,
    distinct,
    forgotten,
    give_back,
    granted,
    hold,
    key,
    looked,
    made,
    remembered,
    settle,
)
from .saved import packed, packed_lease, unpacked, unpacked_lease
from .statements import Statements
from .window import Window, ticks

if TYPE_CHECKING:
    from psycopg import AsyncConnection


class _Locked(NamedTuple):
    """Windows whose rows are locked, the time then, and whether leases are overdue."""

    windows: dict[Pool, Window]
    now: int
    overdue: bool


class PostgresLedger:
    """The ledger in a PostgreSQL database. Its time is the server's; `clock` replaces it in tests.

    `namespace` begins the names of its tables. Any operation may raise `LedgerUnreachable`: no connection, no answer or
    no lock within 5 seconds.
    """

    def __init__(self, url: str, *, namespace: str = "", clock: Clock | None = None) -> None:
        if namespace and not (namespace.isidentifier() and namespace.isascii() and namespace.islower()):
            raise InvalidInput(f"namespace {namespace!r}: expected small letters, digits and underscores")
        self._clock = clock
        self._sql = Statements(namespace)
        self._connections = Connections(url, self._sql.setup)

    async def reserve(
        self, lease: str, charges: tuple[Charge, ...], *, ttl_s: float, hard: bool = True
    ) -> Held | Refusal:
        """As `Ledger.reserve`."""
        distinct(charges)
        async with self._connections.one() as connection:
            while True:
                async with connection.pipeline(), connection.transaction():
                    locked = await self._lock(connection, charges)
                    windows = [w for charge in charges if (w := locked.windows.get(key(charge))) is not None]
                    if len(windows) == len(charges) and not locked.overdue:
                        now = max([locked.now, *(window.latest for window in windows)])
                        wanted = granted(lease, charges, now, ticks(ttl_s))
                        answer = hold(windows, wanted, now, hard=hard)
                        await self._save(connection, charges, windows)
                        if charges and isinstance(answer, Held):
                            row = (lease, ticks(wanted.expires_s), packed_lease(wanted))
                            await connection.execute(self._sql.keep, row)
                        return answer
                await self._return_overdue(connection)
                for charge in charges:
                    window = made(charge, locked.now)
                    await connection.execute(
                        self._sql.create, (*key(charge), forgotten(window), packed(window))
                    )

    async def settle(self, lease: Lease, *, tokens: int, requests: int) -> Settlement:
        """As `Ledger.settle`."""
        async with self._connections.one() as connection, connection.pipeline(), connection.transaction():
            locking = await self._ask_lock(connection, lease.charges)
            closing = await connection.execute(self._sql.close, (lease.id,))
            closing_late = await connection.execute(self._sql.close_late, (lease.id,))
            locked = await self._told(*locking)
            late = await closing_late.fetchone() is not None
            windows = [locked.windows.get(key(charge)) for charge in lease.charges]
            if lease.charges and not late and await closing.fetchone() is None:
                return again(windows, lease, locked.now)
            answer = settle(windows, lease, locked.now, tokens=tokens, requests=requests, late=late)
            await self._save(connection, lease.charges, windows)
            return answer

    async def expire(self) -> tuple[Lease, ...]:
        """As `Ledger.expire`."""
        async with self._connections.one() as connection:
            await self._return_overdue(connection)
            reported = await (await connection.execute(self._sql.report)).fetchall()
            now = await self._now(connection)
            await connection.execute(self._sql.forget_leases, (now,))
            await connection.execute(self._sql.forget_windows, (now,))
        return tuple(unpacked_lease(raw) for (raw,) in reported)

    async def standings(self, pools: tuple[Charge, ...] = ()) -> tuple[Standing, ...]:
        """As `Ledger.standings`."""
        async with self._connections.one() as connection:
            await self._return_overdue(connection)
            now = await self._now(connection)
            rows = await (await connection.execute(self._sql.every)).fetchall()
        windows: dict[Pool, Window] = {(pool, field): unpacked(state) for pool, field, state in rows}
        if pools:
            return looked([windows.get(key(charge)) for charge in pools], pools, now)
        return alive(windows, now)

    async def reset(self, pool: str) -> None:
        """As `Ledger.reset`."""
        async with self._connections.one() as connection, connection.pipeline(), connection.transaction():
            locking = await connection.execute(self._sql.lock_pool, (pool,))
            now = await self._now(connection)
            for name, field, state in await locking.fetchall():
                window = unpacked(state)
                window.clear(max(now, window.latest))
                await connection.execute(self._sql.save, (forgotten(window), packed(window), name, field))

    async def ping(self) -> None:
        """As `Ledger.ping`."""
        async with self._connections.one() as connection:
            await self._now(connection)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._connections.aclose()

    def _time(self) -> int | None:
        return None if self._clock is None else ticks(self._clock.time())

    async def _now(self, connection: AsyncConnection[Any]) -> int:
        row = await (await connection.execute(self._sql.now, (self._time(),))).fetchone()
        assert row is not None
        now: int = row[0]
        return now

    async def _lock(self, connection: AsyncConnection[Any], charges: Sequence[Charge]) -> _Locked:
        return await self._told(*await self._ask_lock(connection, charges))

    async def _ask_lock(self, connection: AsyncConnection[Any], charges: Sequence[Charge]) -> tuple[Any, Any]:
        """Two questions on their way: the windows, locked in order; then the time and whether leases are overdue."""
        names = ([charge.pool for charge in charges], [charge.field for charge in charges])
        windows = await connection.execute(self._sql.lock, names)
        return windows, await connection.execute(self._sql.overdue, (self._time(),))

    async def _told(self, windows: Any, time: Any) -> _Locked:
        now, overdue = await time.fetchone()
        rows = await windows.fetchall()
        return _Locked({(pool, field): unpacked(state) for pool, field, state in rows}, now, overdue)

    async def _save(
        self, connection: AsyncConnection[Any], charges: Sequence[Charge], windows: Sequence[Window | None]
    ) -> None:
        for charge, window in zip(charges, windows, strict=True):
            if window is not None:
                await connection.execute(self._sql.save, (forgotten(window), packed(window), *key(charge)))

    async def _return_overdue(self, connection: AsyncConnection[Any]) -> None:
        """A transaction for each lease whose time ran out: its windows are locked before itself, as everywhere."""
        rows = await (await connection.execute(self._sql.due, (self._time(),))).fetchall()
        for lease in (unpacked_lease(raw) for (raw,) in rows):
            async with connection.pipeline(), connection.transaction():
                locked = await self._lock(connection, lease.charges)
                returned = await connection.execute(self._sql.give_back, (remembered(lease), lease.id))
                if await returned.fetchone() is not None:
                    windows = [locked.windows.get(key(charge)) for charge in lease.charges]
                    give_back(windows, lease, locked.now)
                    await self._save(connection, lease.charges, windows)
