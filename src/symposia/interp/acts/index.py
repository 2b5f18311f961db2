"""The index of a folder: what is stored, of whose forward, where in which shard. SQLite, one transaction a commit."""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec

from symposia.core.span import Span

from .record import Record, Source, UnreadableActivations
from .shard import Entry

State = Literal["open", "sealed", "damaged"]
_SCHEMA = """
CREATE TABLE IF NOT EXISTS model(digest TEXT PRIMARY KEY, shape TEXT, specials TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS token(model TEXT, id INTEGER, text TEXT NOT NULL, PRIMARY KEY(model, id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS turn(
  id INTEGER PRIMARY KEY, run TEXT NOT NULL, conversation TEXT NOT NULL, branch TEXT NOT NULL, turn INTEGER NOT NULL,
  call INTEGER NOT NULL, speaker TEXT NOT NULL, purpose TEXT NOT NULL, profile TEXT NOT NULL, reader TEXT NOT NULL,
  model TEXT NOT NULL, request TEXT NOT NULL, interventions TEXT NOT NULL, token_ids BLOB NOT NULL,
  worded INTEGER NOT NULL, created REAL NOT NULL);
CREATE TABLE IF NOT EXISTS span(
  turn_id INTEGER NOT NULL, start INTEGER NOT NULL, stop INTEGER NOT NULL, role TEXT, phase TEXT NOT NULL, author TEXT,
  msg INTEGER, origin TEXT NOT NULL, generated INTEGER NOT NULL, PRIMARY KEY(turn_id, start)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS shard(number INTEGER PRIMARY KEY, state TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS record(
  id INTEGER PRIMARY KEY, turn_id INTEGER NOT NULL, capture INTEGER NOT NULL, name TEXT NOT NULL, site TEXT NOT NULL,
  layer INTEGER, at TEXT NOT NULL, reduce TEXT NOT NULL, dtype TEXT NOT NULL, shape TEXT NOT NULL, runs TEXT NOT NULL,
  steered INTEGER NOT NULL, made INTEGER NOT NULL, shard INTEGER NOT NULL, offset INTEGER NOT NULL,
  bytes INTEGER NOT NULL, digest TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS turn_of ON turn(conversation, turn);
CREATE INDEX IF NOT EXISTS record_of ON record(turn_id);
"""


@dataclass(frozen=True)
class Placed:
    """A record that is on the disk, to be made known."""

    number: int
    record: Record
    shard: int
    entry: Entry


def connect(path: Path, *, write: bool) -> sqlite3.Connection:
    """Open the index. Reading works beside a writer, and on media that cannot be written."""
    try:
        if write:
            made = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
            made.execute("PRAGMA journal_mode=WAL")
            made.execute("PRAGMA synchronous=FULL")
            made.executescript(_SCHEMA)
            return made
        try:
            return _reader(path, "mode=ro")
        except sqlite3.OperationalError:  # no room for the files that readers share with a writer
            if _size(path.with_name(f"{path.name}-wal")):
                raise
            return _reader(path, "mode=ro&immutable=1")
    except sqlite3.DatabaseError as error:
        raise UnreadableActivations(f"{path}: expected an index of activations; {error}") from error


def _reader(path: Path, how: str) -> sqlite3.Connection:
    made = sqlite3.connect(f"{path.absolute().as_uri()}?{how}", uri=True, timeout=30, check_same_thread=False)
    try:
        made.execute("SELECT count(*) FROM shard").fetchone()
    except BaseException:
        made.close()
        raise
    return made


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


class Known:
    """What has been told already of models and of words; a writer's. To be made anew after a commit that failed."""

    def __init__(self, index: sqlite3.Connection) -> None:
        self.models = {digest for (digest,) in index.execute("SELECT digest FROM model")}
        self.words: dict[str, set[int]] = {}
        for model, token in index.execute("SELECT model, id FROM token"):
            self.words.setdefault(model, set()).add(token)


def commit(index: sqlite3.Connection, placed: Sequence[Placed], dropped: Iterable[int], known: Known) -> None:
    """Make records known and others forgotten: all of it or nothing. Raises `sqlite3.Error`."""
    turns: dict[int, int] = {}
    index.execute("BEGIN IMMEDIATE")
    try:
        index.executemany(
            "INSERT OR IGNORE INTO shard VALUES (?, 'open')", {(each.shard,) for each in placed}
        )
        for each in placed:
            source = each.record.source
            if id(source) not in turns:
                _tell_words(index, source, known)
                turns[id(source)] = _add_turn(index, source)
            _add_record(index, each, turns[id(source)])
        for number in dropped:
            _forget(index, number)
        index.execute("COMMIT")
    except BaseException:
        if index.in_transaction:
            index.execute("ROLLBACK")
        raise


def _forget(index: sqlite3.Connection, number: int) -> None:
    """A record, and its forward if nothing else is kept of it."""
    turn = index.execute("SELECT turn_id FROM record WHERE id = ?", (number,)).fetchone()
    if turn is None:
        return
    index.execute("DELETE FROM record WHERE id = ?", (number,))
    if index.execute("SELECT 1 FROM record WHERE turn_id = ?", turn).fetchone() is None:
        index.execute("DELETE FROM span WHERE turn_id = ?", turn)
        index.execute("DELETE FROM turn WHERE id = ?", turn)


def set_state(index: sqlite3.Connection, shard: int, state: State | None) -> None:
    """What a shard has become; None: it is gone."""
    if state is None:
        index.execute("DELETE FROM shard WHERE number = ?", (shard,))
    else:
        index.execute("INSERT OR REPLACE INTO shard VALUES (?, ?)", (shard, state))


def states(index: sqlite3.Connection) -> dict[int, State]:
    """Every shard that was begun."""
    return dict(index.execute("SELECT number, state FROM shard ORDER BY number"))


def entries(index: sqlite3.Connection, shard: int) -> list[Entry]:
    """The records of a shard, in order of place."""
    found = index.execute(
        "SELECT id, dtype, shape, offset, bytes FROM record WHERE shard = ? ORDER BY offset", (shard,)
    )
    return [
        Entry(number, dtype, shape_of(shape), offset, size) for number, dtype, shape, offset, size in found
    ]


def shape_of(text: str) -> tuple[int, ...]:
    """A shape as it is stored."""
    return msgspec.json.decode(text, type=tuple[int, ...])


def pack(token_ids: Sequence[int]) -> bytes:
    """Token ids, 4 bytes each."""
    return struct.pack(f"<{len(token_ids)}I", *token_ids)


def unpack(raw: bytes) -> tuple[int, ...]:
    """And back."""
    return struct.unpack(f"<{len(raw) // 4}I", raw)


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _tell_words(index: sqlite3.Connection, source: Source, known: Known) -> None:
    if source.model not in known.models:
        shape = None if source.shape is None else _json(source.shape)
        index.execute(
            "INSERT OR REPLACE INTO model VALUES (?, ?, ?)",
            (source.model, shape, _json(sorted(source.specials))),
        )
        known.models.add(source.model)
    if source.texts:
        words = known.words.setdefault(source.model, set())
        new = {i: text for i, text in zip(source.token_ids, source.texts, strict=True) if i not in words}
        index.executemany(
            "INSERT OR IGNORE INTO token VALUES (?, ?, ?)", ((source.model, i, t) for i, t in new.items())
        )
        words.update(new)


def _add_turn(index: sqlite3.Connection, source: Source) -> int:
    about = source.about
    made = index.execute(
        "INSERT INTO turn VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            about.run,
            about.conversation,
            about.branch,
            about.turn,
            about.call,
            about.speaker,
            about.purpose,
            about.profile,
            source.reader,
            source.model,
            source.request,
            source.interventions,
            pack(source.token_ids),
            int(bool(source.texts)),
            source.created,
        ),
    ).lastrowid
    assert made is not None
    index.executemany(
        "INSERT INTO span VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", (_span(made, span) for span in source.spans)
    )
    return made


def _span(turn: int, span: Span) -> tuple[object, ...]:
    return (
        turn,
        span.start,
        span.stop,
        span.role,
        span.phase,
        span.author,
        span.turn,
        span.origin,
        int(span.generated),
    )


def _add_record(index: sqlite3.Connection, placed: Placed, turn: int) -> None:
    record, entry = placed.record, placed.entry
    ref = record.ref
    index.execute(
        "INSERT INTO record VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            placed.number,
            turn,
            record.capture,
            ref.name,
            ref.site,
            ref.layer,
            record.at,
            record.reduce,
            ref.dtype,
            _json(ref.shape),
            _json(ref.runs),
            int(record.source.steered),
            int(record.made),
            placed.shard,
            entry.offset,
            entry.bytes,
            ref.digest,
        ),
    )
