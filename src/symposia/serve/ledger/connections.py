"""A few connections to PostgreSQL, made when needed, thrown away when broken."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from symposia.core.errors import InvalidInput

from . import LedgerUnreachable

if TYPE_CHECKING:
    from psycopg import AsyncConnection

MOST = 4
PATIENCE_S = 5
_SETTINGS = " ".join(
    f"-c {name}={PATIENCE_S * 1000}"
    for name in ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout")
)


class Connections:
    """At most four connections to `url`; the first runs `setup`. `LedgerUnreachable` for whatever fails in between."""

    def __init__(self, url: str, setup: str) -> None:
        self._url, self._setup = url, setup
        self._free = asyncio.Semaphore(MOST)
        self._idle: list[AsyncConnection[Any]] = []
        self._ready = False

    @asynccontextmanager
    async def one(self) -> AsyncIterator[AsyncConnection[Any]]:
        """A connection in autocommit, for as long as it is held."""
        psycopg = _psycopg()
        connection: AsyncConnection[Any] | None = None
        async with self._free:
            try:
                connection = self._idle.pop() if self._idle else await self._made()
                yield connection
            except psycopg.Error as error:
                raise LedgerUnreachable(f"budget ledger in PostgreSQL: {error}") from error
            finally:
                if connection is not None:
                    await self._put_back(connection)

    async def aclose(self) -> None:
        """Close those that nobody holds."""
        while self._idle:
            await self._idle.pop().close()

    async def _made(self) -> AsyncConnection[Any]:
        connection: AsyncConnection[Any] = await _psycopg().AsyncConnection.connect(
            self._url, autocommit=True, connect_timeout=PATIENCE_S, options=_SETTINGS
        )
        if not self._ready:
            await connection.execute(self._setup)
            self._ready = True
        return connection

    async def _put_back(self, connection: AsyncConnection[Any]) -> None:
        """Keep it for the next; one that broke, or is in the middle of something, is closed."""
        idle = _psycopg().pq.TransactionStatus.IDLE
        if not connection.closed and connection.info.transaction_status == idle:
            self._idle.append(connection)
        else:
            await connection.close()


def _psycopg() -> Any:
    try:
        import psycopg
    except ImportError as error:
        raise InvalidInput(
            "a budget ledger in PostgreSQL needs psycopg; pip install 'symposia[postgres]'"
        ) from error
    return psycopg
