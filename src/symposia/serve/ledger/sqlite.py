"""A budget ledger in a file: several processes of one host. One immediate transaction an operation.

An operation never waits on the event loop: a busy file is tried again after a pause that lets other tasks run. The log
of writes is folded back by `expire`, in a thread.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from symposia.core.clock import Clock

from . import Charge, Held, Lease, LedgerUnreachable, Refusal, Settlement, Standing
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
from .window import Window, ticks

PATIENCE_S = 5.0
PAUSES_S = (0.0, 0.0005, 0.001, 0.002, 0.004, 0.008)
LOG_BYTES = 4 << 20
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)

_TABLES = """
PRAGMA page_size = 1024;
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
PRAGMA wal_autocheckpoint = 16384;
CREATE TABLE IF NOT EXISTS budget_window (
    pool TEXT, field TEXT, gone INTEGER NOT NULL, state BLOB NOT NULL, PRIMARY KEY (pool, field)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS budget_lease (
    due INTEGER, id TEXT, lease BLOB NOT NULL, PRIMARY KEY (due, id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS budget_returned (
    id TEXT PRIMARY KEY, lease BLOB NOT NULL, gone INTEGER NOT NULL, reported INTEGER NOT NULL, settled INTEGER NOT NULL
) WITHOUT ROWID;
"""


class _Seen:
    """Windows as they stand in the file, as long as nobody else has written to it: `version` is its data_version."""

    def __init__(self, version: int = -1) -> None:
        self.version = version
        self.windows: dict[Pool, Window] = {}


class SqliteLedger:
    """The ledger in the file at `path`, which is made if need be. Its time is the clock's, which all processes share.

    Any operation may raise `LedgerUnreachable`: the file cannot be opened, is full, or was busy for 5 seconds.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path, self._clock = path, clock
        self._connection: sqlite3.Connection | None = None
        self._seen = _Seen()

    async def reserve(
        self, lease: str, charges: tuple[Charge, ...], *, ttl_s: float, hard: bool = True
    ) -> Held | Refusal:
        """As `Ledger.reserve`."""
        distinct(charges)
        with await self._begun() as (file, now):
            windows = [w or made(c, now) for w, c in zip(self._windows(file, charges), charges, strict=True)]
            now = max([now, *(window.latest for window in windows)])
            wanted = granted(lease, charges, now, ticks(ttl_s))
            answer = hold(windows, wanted, now, hard=hard)
            self._save(file, charges, windows)
            if charges and isinstance(answer, Held):
                row = (ticks(wanted.expires_s), lease, packed_lease(wanted))
                file.execute("INSERT INTO budget_lease VALUES (?, ?, ?)", row)
            return answer

    async def settle(self, lease: Lease, *, tokens: int, requests: int) -> Settlement:
        """As `Ledger.settle`."""
        with await self._begun() as (file, now):
            windows = self._windows(file, lease.charges)
            due = (ticks(lease.expires_s), lease.id)
            is_open = file.execute("DELETE FROM budget_lease WHERE due = ? AND id = ?", due).rowcount == 1
            if lease.charges and not is_open and not _settle_late(file, lease.id):
                self._seen = _Seen()  # looking moves windows on, and nothing is written
                return again(windows, lease, now)
            answer = settle(
                windows,
                lease,
                now,
                tokens=tokens,
                requests=requests,
                late=bool(lease.charges) and not is_open,
            )
            self._save(file, lease.charges, windows)
            return answer

    async def expire(self) -> tuple[Lease, ...]:
        """As `Ledger.expire`."""
        with await self._begun() as (file, now):
            rows = file.execute("SELECT lease FROM budget_returned WHERE reported = 0").fetchall()
            file.execute(
                "DELETE FROM budget_returned WHERE settled = 1 OR (reported = 1 AND gone <= ?)", (now,)
            )
            file.execute("UPDATE budget_returned SET reported = 1 WHERE reported = 0")
            file.execute("DELETE FROM budget_window WHERE gone <= ?", (now,))
            self._seen = _Seen()
        await asyncio.to_thread(_fold_log, self._path)
        return tuple(unpacked_lease(lease) for (lease,) in rows)

    async def standings(self, pools: tuple[Charge, ...] = ()) -> tuple[Standing, ...]:
        """As `Ledger.standings`."""
        with await self._begun() as (file, now):
            if pools:
                windows = self._windows(file, pools)
                self._seen = _Seen()  # looking moves windows on, and nothing is written
                return looked(windows, pools, now)
            rows = file.execute("SELECT pool, field, state FROM budget_window").fetchall()
            return alive({(pool, field): unpacked(state) for pool, field, state in rows}, now)

    async def reset(self, pool: str) -> None:
        """As `Ledger.reset`."""
        with await self._begun() as (file, now):
            rows = file.execute("SELECT field, state FROM budget_window WHERE pool = ?", (pool,)).fetchall()
            for field, state in rows:
                window = unpacked(state)
                window.clear(max(now, window.latest))
                file.execute(_WRITE, (pool, field, forgotten(window), packed(window)))
            self._seen = _Seen()

    async def ping(self) -> None:
        """As `Ledger.ping`."""
        with await self._begun():
            pass

    async def aclose(self) -> None:
        """Close the file."""
        self.close()

    def close(self) -> None:
        """As `aclose`. Whatever was begun is undone."""
        self._seen = _Seen()
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    async def _begun(self) -> _Transaction:
        """A transaction, begun. Nothing inside may await."""
        try:
            file = self._opened()
            await _locked(file)
        except sqlite3.Error as error:
            raise LedgerUnreachable(f"budget ledger {self._path}: {error}") from error
        return _Transaction(self, file)

    def now(self) -> int:
        """The time in ticks."""
        return ticks(self._clock.time())

    def refresh(self, file: sqlite3.Connection, now: int) -> None:
        """At the start of a transaction: forget what others have written since, return what is overdue."""
        (version,) = file.execute("PRAGMA data_version").fetchone()
        if version != self._seen.version:
            self._seen = _Seen(version)
        rows = file.execute(
            "SELECT due, id, lease FROM budget_lease WHERE due <= ? ORDER BY due", (now,)
        ).fetchall()
        for due, name, raw in rows:
            lease = unpacked_lease(raw)
            windows = self._windows(file, lease.charges)
            give_back(windows, lease, now)
            self._save(file, lease.charges, windows)
            file.execute("DELETE FROM budget_lease WHERE due = ? AND id = ?", (due, name))
            file.execute("INSERT INTO budget_returned VALUES (?, ?, ?, 0, 0)", (name, raw, remembered(lease)))

    def _windows(self, file: sqlite3.Connection, charges: Sequence[Charge]) -> list[Window | None]:
        return [self._seen.windows.get((c.pool, c.field)) or self._read(file, key(c)) for c in charges]

    def _read(self, file: sqlite3.Connection, pool: Pool) -> Window | None:
        row = file.execute("SELECT state FROM budget_window WHERE pool = ? AND field = ?", pool).fetchone()
        return unpacked(row[0]) if row else None

    def _save(
        self, file: sqlite3.Connection, charges: Sequence[Charge], windows: Sequence[Window | None]
    ) -> None:
        for charge, window in zip(charges, windows, strict=True):
            if window is not None:
                file.execute(_WRITE, (charge.pool, charge.field, forgotten(window), packed(window)))
                self._seen.windows[charge.pool, charge.field] = window

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            connection = sqlite3.connect(self._path, isolation_level=None, timeout=PATIENCE_S)
            connection.executescript(_TABLES)
            connection.execute("PRAGMA busy_timeout = 0")
            self._connection = connection
        return self._connection


class _Transaction:
    """The file, locked, and the time; overdue leases are returned already. Kept if it ends well, else undone."""

    def __init__(self, ledger: SqliteLedger, file: sqlite3.Connection) -> None:
        self._ledger, self._file = ledger, file

    def __enter__(self) -> tuple[sqlite3.Connection, int]:
        now = self._ledger.now()
        try:
            self._ledger.refresh(self._file, now)
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise
        return self._file, now

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        try:
            if error is None:
                self._file.execute("COMMIT")
        except sqlite3.Error as failed:
            error = failed
        if error is not None:
            self._ledger.close()
        if isinstance(error, sqlite3.Error):
            raise LedgerUnreachable(f"budget ledger: {error}") from error


_WRITE = (
    "INSERT INTO budget_window VALUES (?1, ?2, ?3, ?4)"
    " ON CONFLICT (pool, field) DO UPDATE SET gone = excluded.gone, state = excluded.state"
)


def _settle_late(file: sqlite3.Connection, name: str) -> bool:
    """Whether a lease was returned and not settled; now it is."""
    return (
        file.execute("UPDATE budget_returned SET settled = 1 WHERE id = ? AND settled = 0", (name,)).rowcount
        == 1
    )


async def _locked(file: sqlite3.Connection) -> None:
    """Begin; a busy file is tried again, while others run."""
    waited, turn = 0.0, 0
    while True:
        try:
            file.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode not in _BUSY or waited > PATIENCE_S:
                raise
        else:
            return
        pause = PAUSES_S[min(turn, len(PAUSES_S) - 1)]
        await asyncio.sleep(pause)
        waited, turn = waited + pause, turn + 1


def _fold_log(path: Path) -> None:
    """Move the log of writes into the file, once it is long: no writer waits for that."""
    log = path.with_name(path.name + "-wal")
    if log.exists() and log.stat().st_size > LOG_BYTES:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
