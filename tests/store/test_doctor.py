"""The doctor says what stores can be kept here, and leaves everything as it is."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from symposia.core.clock import VirtualClock
from symposia.core.doctor import DoctorContext, Finding
from symposia.core.redact import Redactor
from symposia.store import opened
from symposia.store.doctor import DEFAULT, doctor_checks
from symposia.store.migrations import MIGRATIONS


def look(folder: Path) -> dict[str, Finding]:
    context = DoctorContext({}, folder, frozenset(), Redactor({}))
    return {check.id: check.run(context) for check in doctor_checks()}


def test_libraries_are_there(tmp_path: Path) -> None:
    """SQLite as Python has it; psycopg, or that it is missing."""
    pytest.importorskip("psycopg")
    found = look(tmp_path)
    assert found["store.sqlite"].status == found["store.postgres"].status == "ok"
    assert "symposia.db" in found["store.database"].message
    assert found["store.database"].status == "skip"


@pytest.mark.parametrize("open_meanwhile", [False, True])
def test_a_store_is_looked_at_and_not_touched(tmp_path: Path, open_meanwhile: bool) -> None:
    """Its migration is told, also while somebody writes, and no file is made."""
    with opened(str(tmp_path / DEFAULT), clock=VirtualClock()):
        before = {path.name for path in tmp_path.iterdir()}
        if open_meanwhile:
            assert look(tmp_path)["store.database"].status == "ok"
            assert {path.name for path in tmp_path.iterdir()} == before
    before = {path.name for path in tmp_path.iterdir()}
    finding = look(tmp_path)["store.database"]
    assert finding.message == f"{DEFAULT}: migration {len(MIGRATIONS)} of {len(MIGRATIONS)}"
    assert {path.name for path in tmp_path.iterdir()} == before == {DEFAULT}


def test_a_store_that_cannot_be_used_is_a_failure_with_a_way_out(tmp_path: Path) -> None:
    """No database, or one of a newer version."""
    (tmp_path / DEFAULT).write_text("no database, " * 100)
    broken = look(tmp_path)["store.database"]
    assert broken.status == "fail"
    (tmp_path / DEFAULT).unlink()
    with opened(str(tmp_path / DEFAULT), clock=VirtualClock()):
        pass
    connection = sqlite3.connect(tmp_path / DEFAULT)
    connection.execute("INSERT INTO migration VALUES (99, 1.0)")
    connection.commit()
    connection.close()
    newer = look(tmp_path)["store.database"]
    assert newer.status == "fail"
    assert "newer version" in newer.message
    assert newer.remedies[0].commands
