"""Where tests keep things: addresses of empty stores, gone when left."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest

SERVER = "postgresql://postgres@127.0.0.1:5432/test"
POSTGRES = pytest.param("postgres", marks=pytest.mark.services)
KINDS = ["memory", "sqlite", POSTGRES]


@contextmanager
def place(kind: str, folder: Path) -> Iterator[str]:
    """The address of an empty store of a kind: `memory`, `sqlite`, `postgres`."""
    if kind == "postgres":
        with schema() as url:
            yield url
    else:
        yield "memory" if kind == "memory" else str(folder / f"{secrets.token_hex(4)}.db")


@contextmanager
def schema() -> Iterator[str]:
    """A new schema of the test database; skips where there is none."""
    if not _answers():
        pytest.skip(f"needs PostgreSQL at {SERVER}")
    name = f"symposia_test_{secrets.token_hex(6)}"
    told(f"CREATE SCHEMA {name}")
    try:
        yield f"{SERVER}?options=-csearch_path%3D{name}"
    finally:
        told(f"DROP SCHEMA {name} CASCADE")


def told(statement: str) -> None:
    """Say one thing to the test database."""
    import psycopg

    with psycopg.connect(SERVER, autocommit=True) as connection:
        connection.execute(statement)


@cache
def _answers() -> bool:
    psycopg = pytest.importorskip("psycopg")
    try:
        psycopg.connect(SERVER, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True
