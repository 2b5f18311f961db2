"""An activation store in memory, with a limit.

`reader` is whose forward it was, `author` whose tokens were read: `reader="alice", author="bob"` is alice reading bob.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from symposia.core.capture import ActivationRef, Site
from symposia.core.errors import SymposiaError
from symposia.core.positions import members
from symposia.core.request import About
from symposia.core.span import Phase, Role, Span


class NoActivation(SymposiaError):
    """No stored record answers the question."""


class AmbiguousActivation(SymposiaError):
    """Several stored records answer a question that wants one."""


class ActivationWriteFailed(SymposiaError):
    """Rows could not be stored; the request that made them fails as data."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """The forward that rows came from."""

    about: About
    reader: str
    model: str
    request: str
    token_ids: tuple[int, ...]
    spans: tuple[Span, ...]
    steered: bool


@dataclass(frozen=True)
class Record:
    """Stored rows `[N, ...]`; row i is position i of `members(ref.runs)`, or one span if they were pooled."""

    ref: ActivationRef
    rows: Tensor
    source: Source
    at: str
    pooled: bool


@dataclass(frozen=True, kw_only=True)
class ActivationQuery:
    """Which rows. None does not constrain.

    By forward: `reader`, `conversation`, `branch`, `turn`, `steered`. By place: `site`, `layer`, `name`. By token:
    `author`, `role`, `phase`.
    """

    reader: str | None = None
    conversation: str | None = None
    branch: str | None = None
    turn: int | None = None
    steered: bool | None = None
    site: Site | None = None
    layer: int | None = None
    name: str | None = None
    author: str | None = None
    role: Role | None = None
    phase: Phase | None = None

    def admits(self, record: Record) -> bool:
        """Whether the record's forward and place fit."""
        about, ref = record.source.about, record.ref
        pairs = (
            (self.reader, record.source.reader),
            (self.conversation, about.conversation),
            (self.branch, about.branch),
            (self.turn, about.turn),
            (self.steered, record.source.steered),
            (self.site, ref.site),
            (self.layer, ref.layer),
            (self.name, ref.name),
        )
        return all(wanted is None or wanted == got for wanted, got in pairs)

    def takes(self, span: Span) -> bool:
        """Whether a token's span fits."""
        pairs = ((self.author, span.author), (self.role, span.role), (self.phase, span.phase))
        return all(wanted is None or wanted == got for wanted, got in pairs)


@dataclass(frozen=True)
class TokenRow:
    """What one stored row is of."""

    token_id: int
    position: int
    span: Span
    record: str


@dataclass(frozen=True)
class Activations:
    """The answer to a query; rows of all records in order of storing."""

    records: tuple[Record, ...]
    query: ActivationQuery

    def __len__(self) -> int:
        return len(self.tokens())

    def tokens(self) -> list[TokenRow]:
        """One entry per row of `tensors()`, aligned."""
        return [row for record in self.records for _, row in self._rows(record)]

    def tensors(self) -> Tensor:
        """Rows `[N, D]`. Raises `NoActivation` when there are none."""
        picked = [
            record.rows[[i for i, _ in self._rows(record)]] for record in self.records if not record.pooled
        ]
        if not picked:
            raise NoActivation(f"no stored rows answer {self.query}")
        return torch.cat(picked)

    def _rows(self, record: Record) -> Iterator[tuple[int, TokenRow]]:
        if record.pooled:
            return
        spans = iter(record.source.spans)
        span = next(spans)
        for i, position in enumerate(members(record.ref.runs)):
            while position >= span.stop:
                span = next(spans)
            if self.query.takes(span):
                yield i, TokenRow(record.source.token_ids[position], position, span, record.ref.record)


class ActivationStore:
    """Rows by record, in memory. Safe to write from the engine's thread while others read."""

    def __init__(self, limit: int) -> None:
        self._limit, self._used = limit, 0
        self._records: dict[str, Record] = {}
        self._lock = threading.Lock()
        self._made = 0

    @classmethod
    def memory(cls, limit: int = 2 << 30) -> ActivationStore:
        """An empty store of at most `limit` bytes."""
        return cls(limit)

    @property
    def free(self) -> int:
        """Bytes left."""
        return self._limit - self._used

    def __len__(self) -> int:
        return len(self._records)

    def put(
        self, rows: Tensor, ref: ActivationRef, source: Source, *, at: str = "after", pooled: bool = False
    ) -> ActivationRef:
        """Store rows `[N, ...]` under a new record; `ref` comes back with `record` and `digest` filled in."""
        kept = rows.detach().to("cpu").contiguous()
        size = kept.numel() * kept.element_size()
        with self._lock:
            if size > self.free:
                raise ActivationWriteFailed(
                    f"{size:,} bytes to store; {self.free:,} of {self._limit:,} free; drop records"
                )
            self._made += 1
            filled = ActivationRef(
                record=f"memory:{self._made}",
                digest=_digest(kept),
                site=ref.site,
                layer=ref.layer,
                shape=tuple(kept.shape),
                dtype=str(kept.dtype).removeprefix("torch."),
                runs=ref.runs,
                name=ref.name,
            )
            self._records[filled.record] = Record(filled, kept, source, at, pooled)
            self._used += size
        return filled

    def at(self, which: ActivationRef | ActivationQuery) -> Tensor:
        """The rows of exactly one record, else `NoActivation` or `AmbiguousActivation`."""
        if isinstance(which, ActivationRef):
            if which.record not in self._records:
                raise NoActivation(
                    f"record {which.record} is not in this store; it was dropped, or made elsewhere"
                )
            return self._records[which.record].rows
        found = self.query(which)
        if not found.records:
            raise NoActivation(f"no stored record answers {which}")
        if len(found.records) > 1:
            places = sorted({f"{r.ref.site} {r.ref.layer} turn {r.source.about.turn}" for r in found.records})
            raise AmbiguousActivation(f"{len(found.records)} records answer {which}: {', '.join(places)}")
        return found.records[0].rows

    def query(self, query: ActivationQuery) -> Activations:
        """Every record that fits, as they stand now."""
        with self._lock:
            return Activations(tuple(r for r in self._records.values() if query.admits(r)), query)

    def open(self, refs: Iterable[ActivationRef]) -> Activations:
        """Some records by reference, in that order. `NoActivation` if one is not here."""
        wanted = [ref.record for ref in refs]
        with self._lock:
            missing = [name for name in wanted if name not in self._records]
            if missing:
                raise NoActivation(
                    f"record {missing[0]} is not in this store; it was dropped, or made elsewhere"
                )
            return Activations(tuple(self._records[name] for name in wanted), ActivationQuery())

    def drop(self, refs: Iterable[ActivationRef]) -> None:
        """Forget records; unknown ones are ignored."""
        with self._lock:
            for ref in refs:
                record = self._records.pop(ref.record, None)
                if record is not None:
                    self._used -= record.rows.numel() * record.rows.element_size()


def _digest(rows: Tensor) -> str:
    head = f"{rows.dtype} {list(rows.shape)}\n".encode()
    return (
        "sha256:"
        + hashlib.sha256(head + bytes(rows.reshape(-1).view(torch.uint8).numpy().tobytes())).hexdigest()
    )
