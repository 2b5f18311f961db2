"""The four ledgers under a clock of one's own, and the services two of them need."""

from __future__ import annotations

import contextlib
import socket
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from symposia.serve.ledger import Ledger
from symposia.serve.ledger.memory import MemoryLedger
from symposia.serve.ledger.postgres import PostgresLedger
from symposia.serve.ledger.redis import RedisLedger
from symposia.serve.ledger.sqlite import SqliteLedger

POSTGRES = "postgresql://postgres@127.0.0.1:5432/test"
REDIS = "redis://127.0.0.1:6379/0"
TICK = 1_000_000
START = 1_750_000_000 * TICK + 123_457
SHARED = (
    "sqlite",
    pytest.param("postgres", marks=pytest.mark.services),
    pytest.param("redis", marks=pytest.mark.services),
)
ALL = ("memory", *SHARED)


class TickClock:
    """Whole ticks, moved by hand; `time` may go back, `monotonic` does not."""

    def __init__(self) -> None:
        self.ticks = START
        self.steady = 0

    def time(self) -> float:
        return self.ticks / TICK

    def monotonic(self) -> float:
        return self.steady / TICK

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("a ledger does not wait for time to pass")

    def advance(self, ticks: int) -> None:
        self.ticks += ticks
        self.steady += ticks

    def back(self, ticks: int) -> None:
        self.ticks -= ticks


Opening = Callable[[TickClock], Ledger]


@contextlib.contextmanager
def place(kind: str) -> Iterator[Opening]:
    """How to open ledgers of a kind, all in one place that was empty. The place is gone afterwards."""
    if kind == "memory":
        yield MemoryLedger
    elif kind == "sqlite":
        with tempfile.TemporaryDirectory() as folder:
            yield lambda clock: SqliteLedger(Path(folder) / "ledger.db", clock)
    else:
        with address(kind) as (url, namespace):
            made = PostgresLedger if kind == "postgres" else RedisLedger
            yield lambda clock: made(url, namespace=namespace, clock=clock)


@contextlib.contextmanager
def address(kind: str) -> Iterator[tuple[str, str]]:
    """Where a shared ledger of a kind may be opened, by any process: its address and a namespace of its own."""
    name = f"t{uuid.uuid4().hex[:12]}"
    if kind == "memory":
        yield "memory", ""
    elif kind == "sqlite":
        with tempfile.TemporaryDirectory() as folder:
            yield f"sqlite:{folder}/ledger.db", name
    elif kind == "postgres":
        need(kind)
        try:
            yield POSTGRES, name
        finally:
            drop(name)
    else:
        need(kind)
        try:
            yield REDIS, name
        finally:
            unlink(name)


def need(kind: str) -> None:
    reason = absent(kind)
    if reason:
        pytest.skip(reason)


def absent(kind: str) -> str:
    """Why a ledger of this kind cannot be opened here; "" if it can."""
    port = {"postgres": 5432, "redis": 6379}.get(kind)
    try:
        if port is not None:
            socket.create_connection(("127.0.0.1", port), timeout=2).close()
    except OSError as error:
        return f"{kind} does not answer at 127.0.0.1:{port}: {error}; start it to run this"
    return ""


def drop(namespace: str) -> None:
    import psycopg

    with psycopg.connect(POSTGRES, autocommit=True) as connection:
        for table in ("window", "lease"):
            connection.execute(f"DROP TABLE IF EXISTS {namespace}_budget_{table}")


def unlink(namespace: str) -> None:
    import redis

    with redis.Redis.from_url(REDIS) as client:
        keys = list(client.scan_iter(f"{{symposia:budget}}:{namespace}:*", count=10_000))
        if keys:
            client.unlink(*keys)
