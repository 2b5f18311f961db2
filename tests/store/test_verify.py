"""No byte of the registry can change unseen."""

from __future__ import annotations

import sqlite3
import struct
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symposia.core.clock import VirtualClock
from symposia.core.errors import SymposiaError
from symposia.core.profile import Profile
from symposia.core.served import KillSwitched
from symposia.core.store import Entry
from symposia.store import Storage, opened
from symposia.store.audit import Act, AuditRow, chained
from symposia.store.keys import Grant
from symposia.store.refusals import Damaged

TABLES = ("profile", "alias", "audit", "access_key")
EVENT = Entry(event=KillSwitched(on=True, actor="ann", reason="r"), stream="kill", time=1.0)


def fill(storage: Storage) -> str:
    """Some of everything: three profiles, one archived; an alias moved twice; keys; an act of another kind."""
    digests = [
        storage.profiles.put(Profile(model="m", system=f"Sei höflich {n}."), actor="ann", note=f"né {n}")
        for n in range(3)
    ]
    storage.profiles.move("m", "calm", digests[0], expect=None, actor="ann", reason="first", evidence="url")
    storage.profiles.move("m", "calm", digests[1], expect=digests[0], actor="bob", reason="second")
    storage.profiles.move("m", "warm", digests[0], expect=None, actor="bob", reason="")
    storage.profiles.move("m", "warm", None, expect=digests[0], actor="bob", reason="")
    storage.profiles.archive(digests[2], actor="ann", reason="old")
    key, _ = storage.keys.create(Grant(name="app", scopes=("inference",)), actor="ann")
    storage.keys.rotate(key.id, grace_s=1, actor="ann")
    storage.record(EVENT, Act(actor="ann", action="kill_switched", subject="kill", after='{"on":true}'))
    return digests[0]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("verify") / "filled.db"
    with opened(str(path), clock=VirtualClock()) as storage:
        fill(storage)
        assert storage.verify().flaws == ()
    return path


def cells(path: Path) -> list[tuple[str, int, str, object]]:
    with sqlite3.connect(path) as connection:
        found = []
        for table in TABLES:
            rows = connection.execute(f"SELECT rowid, * FROM {table} ORDER BY rowid")
            names = [column[0] for column in rows.description][1:]
            for rowid, *row in rows:
                found += [(table, rowid, name, cell) for name, cell in zip(names, row, strict=True)]
    connection.close()
    return found


def flipped(cell: object, bit: int) -> tuple[str, object]:
    """SQL for a cell with one bit turned over, and its parameter."""
    match cell:
        case None:
            return "?", bit
        case int():
            return "?", cell ^ (1 << 5 + bit % 40)  # no number that another row has
        case float():
            raw = bytearray(struct.pack(">d", cell))
        case str() if not cell:
            return "?", chr(97 + bit % 26)
        case _:
            raw = bytearray(str(cell).encode())
    raw[bit // 8 % len(raw)] ^= 1 << bit % 8
    if isinstance(cell, float):
        return "?", struct.unpack(">d", raw)[0]
    return "CAST(? AS TEXT)", bytes(raw)


@given(st.data())
def test_every_flipped_bit_is_found(filled: Path, data: st.DataObject) -> None:
    """One bit of one cell of profiles, aliases, keys or audit, and `verify` names that table, or one it governs."""
    table, rowid, column, cell = data.draw(st.sampled_from(cells(filled)))
    sql, value = flipped(cell, data.draw(st.integers(0, 8 * 2000)))
    with opened(str(filled), clock=VirtualClock()) as storage, storage._database.writing() as writing:
        writing.rows(f"UPDATE {table} SET {column} = {sql} WHERE rowid = ?", (value, rowid))
        seen = _verified(storage)
        writing.rows(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (cell, rowid))
    assert table in seen


def _verified(storage: Storage) -> set[str]:
    from symposia.store.verify import verify

    return {flaw.table for flaw in verify(storage._database).flaws}


def test_an_act_taken_out_is_found_though_the_rest_is_counted_anew(filled: Path) -> None:
    """Each but the last, which whoever holds the last hash misses: the row after it follows none that is there."""
    with opened(str(filled), clock=VirtualClock()) as storage:
        for row in storage.audit()[:-1]:
            taken_out = [f"DELETE FROM audit WHERE seq = {row.seq}", "UPDATE head SET audit = audit - 1"]
            assert "audit" in _undone(storage, *taken_out)


def test_a_row_rewritten_with_its_hash_is_found(filled: Path) -> None:
    """Who changes an act, makes its hash anew and mends the next row's link has still broken the chain."""
    with opened(str(filled), clock=VirtualClock()) as storage:
        for row in storage.audit()[:-1]:
            told = (row.seq, row.time, "eve", *_text_of(row))
            made = chained(row.prev, told)
            rewritten = [
                f"UPDATE audit SET actor = 'eve', hash = '{made}' WHERE seq = {row.seq}",
                f"UPDATE audit SET prev = '{made}' WHERE seq = {row.seq + 1}",
            ]
            assert "audit" in _undone(storage, *rewritten)


def _text_of(row: AuditRow) -> tuple[str | None, ...]:
    return (row.action, row.subject, row.before, row.after, row.reason, row.evidence)


@pytest.mark.parametrize("table", TABLES)
def test_rows_left_out_or_put_in_are_found(filled: Path, table: str) -> None:
    """Each row deleted, the last ones too, and a row that nobody wrote."""
    with opened(str(filled), clock=VirtualClock()) as storage:
        rows = [row[0] for row in storage._database.rows(f"SELECT rowid FROM {table}")]
        for rowid in rows:
            assert table in _undone(storage, f"DELETE FROM {table} WHERE rowid = {rowid}"), rowid
        names = [row[1] for row in storage._database.rows(f"PRAGMA table_info({table})")]
        first = {"alias": "99", "audit": "99"}.get(table, "'sha256:more'")
        key = "seq" if table in ("alias", "audit") else names[0]
        copied = ", ".join(first if name == key else name for name in names)
        assert table in _undone(storage, f"INSERT INTO {table} SELECT {copied} FROM {table} LIMIT 1")
        assert storage.verify().flaws == ()


class _Undone(Exception):
    pass


def _undone(storage: Storage, *statements: str) -> set[str]:
    """What `verify` says after statements that are then taken back."""
    found: set[str] = set()
    with suppress(_Undone), storage._database.writing() as writing:
        for statement in statements:
            writing.rows(statement)
        found = _verified(storage)
        raise _Undone
    return found


def test_a_whole_registry_has_no_flaws(storage: Storage) -> None:
    """On every kind of store, with the counts of what was looked at and the chain's last hash."""
    fill(storage)
    seen = storage.verify()
    assert (seen.profiles, seen.aliases, seen.keys, seen.flaws) == (3, 4, 2, ())
    assert seen.audit == len(storage.audit()) == storage.audit()[-1].seq
    assert seen.head == storage.audit()[-1].hash


def test_a_damaged_profile_is_not_served(storage: Storage) -> None:
    """A profile whose stored content has another digest is an error, never an answer."""
    digest = fill(storage)
    with storage._database.writing() as writing:
        writing.rows("UPDATE profile SET json = replace(json, 'Sei', 'Sie') WHERE digest = ?", (digest,))
    with pytest.raises(Damaged, match="another digest"):
        storage.profiles.get(digest)
    with pytest.raises(SymposiaError, match="audit --verify"):
        storage.profiles.all()
    assert "profile" in {flaw.table for flaw in storage.verify().flaws}
