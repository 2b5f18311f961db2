"""What an activation store holds: rows of one place of one forward, with whose forward and whose tokens they are.

`reader` is whose forward it was, `author` whose tokens were read: `reader="alice", author="bob"` is alice reading bob.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Literal, Protocol

import torch
from torch import Tensor

from symposia.core.capture import ActivationRef, Run, Site
from symposia.core.errors import InvalidInput, SymposiaError
from symposia.core.request import About
from symposia.core.span import Span
from symposia.interp.taps import ModelShape

Reduce = Literal["keep", "mean", "last", "max"]
Identity = tuple[str | int, ...]


class NoActivation(SymposiaError):
    """No stored record answers the question."""


class AmbiguousActivation(SymposiaError):
    """Several stored records answer a question that wants one."""


class ActivationWriteFailed(SymposiaError):
    """Rows could not be stored; the request that made them fails as data."""


class UnreadableActivations(InvalidInput):
    """A folder is no activation store of this format, or its bytes are not what its index promises."""


class StoreLocked(InvalidInput):
    """Somebody else writes to the folder; a store has one writer."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """The forward that rows came from.

    `texts` are its tokens in words, aligned with `token_ids`; `specials` are token ids that are no text. `shape` says
    which model it was, so that directions can be fitted without loading it. `interventions` are JSON.
    """

    about: About
    reader: str
    model: str
    request: str
    token_ids: tuple[int, ...]
    spans: tuple[Span, ...]
    steered: bool
    interventions: str = "[]"
    texts: tuple[str, ...] = ()
    specials: frozenset[int] = frozenset()
    shape: ModelShape | None = None
    created: float = 0.0

    @property
    def identity(self) -> Identity:
        """Which generation it was; equal where one was made again, as after a crash."""
        about = self.about
        return (
            about.run,
            about.conversation,
            about.branch,
            about.turn,
            about.call,
            self.reader,
            self.model,
            self.request,
        )

    def recalled(self, span: Span) -> bool:
        """Whether the reader had said these tokens before: the forward that made them was another, earlier one."""
        return span.author == self.reader and span.origin == "sampled" and not span.generated


@dataclass(frozen=True, kw_only=True)
class Draft:
    """Rows `[N, ...]` about to be stored: row i is position i of `members(runs)`, or one span if they were pooled.

    `capture` is its number in the request.
    """

    rows: Tensor
    site: Site
    layer: int | None
    runs: tuple[Run, ...]
    name: str = ""
    at: Literal["after", "before"] = "after"
    reduce: Reduce = "keep"
    capture: int = 0


class Rows(Protocol):
    """Where a record's numbers are."""

    def view(self) -> Tensor:
        """The rows where they lie: in memory, or mapped from the file."""
        ...

    def read(self) -> Tensor:
        """The rows in memory that is given back when they are dropped."""
        ...


@dataclass(frozen=True)
class Held:
    """Rows in memory."""

    tensor: Tensor

    def view(self) -> Tensor:
        return self.tensor

    def read(self) -> Tensor:
        return self.tensor


@dataclass(frozen=True, kw_only=True)
class Record:
    """Stored rows, and where they came from. `made`: none of them was computed again for a token said before."""

    ref: ActivationRef
    source: Source
    at: str
    reduce: Reduce
    capture: int
    made: bool
    place: Rows = field(repr=False)

    @property
    def rows(self) -> Tensor:
        """`[N, ...]`, memory-mapped where they lie on disk."""
        return self.place.view()

    @property
    def pooled(self) -> bool:
        """Whether a row is of a span."""
        return self.reduce != "keep"

    @property
    def identity(self) -> Identity | None:
        """Equal for the same capture of a generation made again; None outside conversations."""
        if not self.source.about.conversation:
            return None
        return (*self.source.identity, self.capture, -1 if self.ref.layer is None else self.ref.layer)


def kept(rows: Tensor) -> Tensor:
    """Rows as they are stored: on the CPU, side by side, of nobody else."""
    return rows.detach().to("cpu").contiguous()


def size_of(rows: Tensor) -> int:
    """Bytes."""
    return rows.numel() * rows.element_size()


def dtype_name(dtype: torch.dtype) -> str:
    """As references and the index say it: `bfloat16`."""
    return str(dtype).removeprefix("torch.")


def raw_bytes(rows: Tensor) -> memoryview:
    """The bytes of contiguous rows, not copied."""
    return rows.reshape(-1).view(torch.uint8).numpy().data


def digest_of(dtype: str, shape: tuple[int, ...], raw: memoryview | bytes) -> str:
    """sha256 over dtype, shape and bytes."""
    state = hashlib.sha256(f"torch.{dtype} {list(shape)}\n".encode())
    state.update(raw)
    return "sha256:" + state.hexdigest()


def reference(draft: Draft, rows: Tensor, record: str) -> ActivationRef:
    """How a completion names the rows."""
    dtype, shape = dtype_name(rows.dtype), tuple(rows.shape)
    return ActivationRef(
        record=record,
        digest=digest_of(dtype, shape, raw_bytes(rows)),
        site=draft.site,
        layer=draft.layer,
        shape=shape,
        dtype=dtype,
        runs=draft.runs,
        name=draft.name,
    )


def record_of(draft: Draft, source: Source, ref: ActivationRef, place: Rows) -> Record:
    """A draft that has its reference and its place."""
    touched = (s for s in source.spans if any(s.start < stop and start < s.stop for start, stop in ref.runs))
    return Record(
        ref=ref,
        source=source,
        at=draft.at,
        reduce=draft.reduce,
        capture=draft.capture,
        made=not any(map(source.recalled, touched)),
        place=place,
    )
