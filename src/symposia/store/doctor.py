"""What the doctor looks at here: SQLite, psycopg, and the store of this folder. Nothing is made or changed."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from symposia.core.doctor import Check, DoctorContext, Finding, Remedy

from .migrations import MIGRATIONS, NEWEST

DEFAULT: Final = "symposia.db"
_UPSERT = (3, 24, 0)


def doctor_checks() -> tuple[Check, ...]:
    """Whether stores can be kept here, and what the one of this folder is."""
    return (
        Check("store.sqlite", _sqlite),
        Check("store.postgres", _postgres),
        Check("store.database", _database),
    )


def _sqlite(context: DoctorContext) -> Finding:
    del context
    if sqlite3.sqlite_version_info >= _UPSERT:
        return Finding("ok", f"SQLite {sqlite3.sqlite_version}")
    remedy = Remedy("Use a Python built with a newer SQLite", ("python -m venv --upgrade .venv",))
    return Finding("fail", f"SQLite {sqlite3.sqlite_version}; expected 3.24 or newer", remedies=(remedy,))


def _postgres(context: DoctorContext) -> Finding:
    del context
    try:
        return Finding("ok", f"psycopg {version('psycopg')}")
    except PackageNotFoundError:
        return Finding(
            "skip", "psycopg is not installed: no stores in PostgreSQL (pip install 'symposia[postgres]')"
        )


def _database(context: DoctorContext) -> Finding:
    path = context.cwd / DEFAULT
    if not path.exists():
        return Finding("skip", f"no {DEFAULT} in this folder: profile create and keys create make it")
    mode = "mode=ro" if path.with_name(f"{DEFAULT}-wal").exists() else "immutable=1"  # neither makes a file
    other = Remedy("Choose another store", ("symposia profile list --store OTHER.db",))
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?{mode}", uri=True, timeout=5)) as connection:
            found = int(connection.execute(NEWEST).fetchone()[0])
    except sqlite3.Error as error:
        return Finding("fail", f"{DEFAULT} cannot be read as a store: {error}", remedies=(other,))
    if found > len(MIGRATIONS):
        newer = Remedy("Upgrade", ("pip install --upgrade symposia",))
        return Finding("fail", f"{DEFAULT} is of a newer version: migration {found}", remedies=(newer, other))
    return Finding("ok", f"{DEFAULT}: migration {found} of {len(MIGRATIONS)}")
