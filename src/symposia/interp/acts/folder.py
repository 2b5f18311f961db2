"""A folder of activations, read: beside its writer or after it. `format.json`, `index.sqlite`, `shards/`."""

from __future__ import annotations

import sqlite3
import threading
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from torch import Tensor

from symposia.core.capture import ActivationRef, Run
from symposia.core.errors import InvalidInput
from symposia.core.files import write_atomic
from symposia.core.request import About
from symposia.core.span import Span
from symposia.core.value import Value, canonical, decode
from symposia.interp.taps import ModelShape

from .index import connect, shape_of, unpack
from .query import ActivationQuery
from .record import Record, Source, UnreadableActivations
from .shard import Entry, Shards

FORMAT = "symposia.activations/1"
_TOGETHER = 256
_IN_RECORD = ("steered", "site", "layer", "name", "at")  # other things that are asked for are a turn's
_AGAIN = (
    "t.run, t.conversation, t.branch, t.turn, t.call, t.reader, t.model, t.request, r.capture, r.layer, "
    "CASE WHEN t.conversation = '' THEN r.id END"
)
_LOAD = (
    "SELECT r.id, r.turn_id, r.capture, r.name, r.site, r.layer, r.at, r.reduce, r.dtype, r.shape, r.runs, "
    "r.steered, r.made, r.shard, r.offset, r.bytes, r.digest FROM record r WHERE r.id IN ({}) ORDER BY r.id"
)


class FormatFile(Value, frozen=True, kw_only=True):
    """`format.json`. `id` begins the names of the folder's records, wherever it is moved."""

    format: str = FORMAT
    id: str


@dataclass(frozen=True)
class Slice:
    """Rows in a shard."""

    shards: Shards
    shard: int
    entry: Entry

    def view(self) -> Tensor:
        return self.shards.view(self.shard, self.entry)

    def read(self) -> Tensor:
        return self.shards.read(self.shard, self.entry)


class Folder:
    """Implements `Shelf`. Reads what is committed; what comes later is seen by later questions."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = read_format(path).id
        self.shards = Shards(path / "shards")
        self._index = connect(path / "index.sqlite", write=False)
        self._lock = threading.Lock()
        self._models: dict[str, tuple[ModelShape | None, frozenset[int]]] = {}
        self._words: dict[str, dict[int, str]] = {}

    def __len__(self) -> int:
        return int(self.ask("SELECT count(*) FROM record")[0][0])

    def ask(self, question: str, given: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Rows of the index."""
        with self._lock:
            try:
                return self._index.execute(question, given).fetchall()
            except sqlite3.DatabaseError as error:
                raise UnreadableActivations(f"{self.path / 'index.sqlite'}: {error}") from error

    def numbers(self, query: ActivationQuery) -> Sequence[int]:
        found = self._fitting(query, "max(r.id)", f"GROUP BY {_AGAIN} ORDER BY 1")
        return array("q", (number for (number,) in found))

    def layers(self, query: ActivationQuery) -> set[int | None]:
        return {layer for (layer,) in self._fitting(query, "DISTINCT r.layer")}

    def models(self, query: ActivationQuery) -> dict[str, ModelShape | None]:
        return {digest: self._model(digest)[0] for (digest,) in self._fitting(query, "DISTINCT t.model")}

    def load(self, numbers: Sequence[int]) -> list[Record]:
        made: dict[int, Record] = {}
        sources: dict[int, Source] = {}
        for at in range(0, len(numbers), _TOGETHER):
            some = list(numbers[at : at + _TOGETHER])
            rows = self.ask(_LOAD.format(",".join("?" * len(some))), some)
            for turn in {row[1] for row in rows} - sources.keys():
                sources[turn] = self._source(turn, {row[0]: row for row in rows if row[1] == turn})
            made.update((row[0], self._record(row, sources[row[1]])) for row in rows)
        return [made[number] for number in numbers if number in made]

    def close(self) -> None:
        self.shards.close()
        with self._lock:
            self._index.close()

    def _fitting(self, query: ActivationQuery, columns: str, then: str = "") -> list[tuple[Any, ...]]:
        asked = [
            (f"{'r' if name in _IN_RECORD else 't'}.{name}", value) for name, value in query.wanted().items()
        ]
        where = " AND ".join(f"{column} = ?" for column, _ in asked) or "1"
        return self.ask(
            f"SELECT {columns} FROM record r JOIN turn t ON t.id = r.turn_id WHERE {where} {then}",  # noqa: S608
            [value for _, value in asked],
        )

    def _record(self, row: tuple[Any, ...], source: Source) -> Record:
        number, _, capture, name, site, layer, at, reduce, dtype, shape, runs, _, made, shard, *place = row
        offset, size, digest = place
        ref = ActivationRef(
            record=f"{self.name}:{number}",
            digest=digest,
            site=site,
            layer=layer,
            shape=shape_of(shape),
            dtype=dtype,
            runs=msgspec.json.decode(runs, type=tuple[Run, ...]),
            name=name,
        )
        entry = Entry(number, dtype, ref.shape, offset, size)
        rows = Slice(self.shards, shard, entry)
        return Record(
            ref=ref, source=source, at=at, reduce=reduce, capture=capture, made=bool(made), place=rows
        )

    def _source(self, turn: int, rows: dict[int, tuple[Any, ...]]) -> Source:
        [found] = self.ask(
            "SELECT run, conversation, branch, turn, call, speaker, purpose, profile, reader, model, request, "
            "interventions, token_ids, worded, created FROM turn WHERE id = ?",
            (turn,),
        )
        *about, reader, model, request, interventions, packed, worded, created = found
        names = ("run", "conversation", "branch", "turn", "call", "speaker", "purpose", "profile")
        token_ids = unpack(packed)
        shape, specials = self._model(model)
        spans = self.ask(
            "SELECT start, stop, role, phase, author, msg, origin, generated FROM span "
            "WHERE turn_id = ? ORDER BY start",
            (turn,),
        )
        steered = next(iter(rows.values()))[11]
        return Source(
            about=About(**dict(zip(names, about, strict=True))),
            reader=reader,
            model=model,
            request=request,
            token_ids=token_ids,
            spans=tuple(_span(*span) for span in spans),
            steered=bool(steered),
            interventions=interventions,
            texts=self._texts(model, token_ids) if worded else (),
            specials=specials,
            shape=shape,
            created=created,
        )

    def _model(self, digest: str) -> tuple[ModelShape | None, frozenset[int]]:
        if digest not in self._models:
            [(shape, specials)] = self.ask("SELECT shape, specials FROM model WHERE digest = ?", (digest,))
            told = None if shape is None else decode(shape, ModelShape)
            self._models[digest] = told, frozenset(msgspec.json.decode(specials, type=list[int]))
        return self._models[digest]

    def _texts(self, model: str, token_ids: Sequence[int]) -> tuple[str, ...]:
        words = self._words.setdefault(model, {})
        if not all(i in words for i in token_ids):
            words.update(self.ask("SELECT id, text FROM token WHERE model = ?", (model,)))
        return tuple(words[i] for i in token_ids)


def read_format(path: Path) -> FormatFile:
    """What a folder says it is. `UnreadableActivations` if it is no activation store, or a newer one."""
    at = path / "format.json"
    if not at.exists():
        raise UnreadableActivations(f"{path}: expected a folder of activations with format.json; found none")
    try:
        found = decode(at.read_bytes(), FormatFile, str(at))
    except InvalidInput as error:
        raise UnreadableActivations(str(error)) from error
    if found.format != FORMAT:
        raise UnreadableActivations(f"{at}: expected {FORMAT}; got {found.format}")
    return found


def begin_folder(path: Path, name: str) -> None:
    """Make an empty store, unless there is one."""
    (path / "shards").mkdir(parents=True, exist_ok=True)
    if not (path / "format.json").exists():
        connect(path / "index.sqlite", write=True).close()
        write_atomic(path / "format.json", canonical(FormatFile(id=name)))


def _span(
    start: int, stop: int, role: Any, phase: Any, author: str | None, turn: int | None, *rest: Any
) -> Span:
    origin, generated = rest
    return Span(
        start=start,
        stop=stop,
        role=role,
        phase=phase,
        author=author,
        turn=turn,
        origin=origin,
        generated=bool(generated),
    )
