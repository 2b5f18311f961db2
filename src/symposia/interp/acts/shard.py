"""A shard: tensors one after the other behind a reserved header, which sealing fills in place.

Sealed, it is an ordinary safetensors file. That format knows no holes, so bytes of no record (dropped ones, or the few
that align the next) are named `gap.OFFSET`.
"""

from __future__ import annotations

import json
import mmap
import os
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from .record import NoActivation, UnreadableActivations

HEADER = 1 << 20
ALIGNED = 8
_LENGTH = 8  # bytes that say how long the header is
_CODES = {"float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16"}


@dataclass(frozen=True)
class Entry:
    """One record's bytes: `[offset, offset + bytes)` of the file."""

    number: int
    dtype: str
    shape: tuple[int, ...]
    offset: int
    bytes: int

    @property
    def stop(self) -> int:
        """Where they end."""
        return self.offset + self.bytes


def shard_name(number: int) -> str:
    """`00000.safetensors`."""
    return f"{number:05}.safetensors"


def tensor_name(number: int) -> str:
    """A record's name in the file."""
    return f"record.{number}"


def described(entries: Iterable[Entry]) -> Iterator[tuple[str, dict[str, object]]]:
    """Header entries that cover all bytes: of records, and of gaps between them."""
    at = HEADER
    for entry in sorted(entries, key=lambda each: each.offset):
        if entry.offset > at:
            yield f"gap.{at}", _described("U8", (entry.offset - at,), at, entry.offset)
        yield (
            tensor_name(entry.number),
            _described(_CODES[entry.dtype], entry.shape, entry.offset, entry.stop),
        )
        at = entry.stop


def header(entries: Iterable[Entry], metadata: dict[str, str]) -> bytes:
    """All `HEADER` bytes of a sealed shard."""
    told = {"__metadata__": {"format": "pt", **metadata}, **dict(described(entries))}
    text = json.dumps(told, separators=(",", ":")).encode()
    if len(text) > HEADER - _LENGTH:
        raise AssertionError(f"a header of {len(text)} bytes; the shard should have been sealed before")
    return (HEADER - _LENGTH).to_bytes(_LENGTH, "little") + text.ljust(HEADER - _LENGTH)


def seal(path: Path, entries: Iterable[Entry], metadata: dict[str, str]) -> None:
    """Cut what no record owns off the end, and write the header in place. May be repeated."""
    whole = list(entries)
    with path.open("r+b") as file:
        file.truncate(max(entry.stop for entry in whole))
        file.write(header(whole, metadata))
        file.flush()
        os.fsync(file.fileno())


class Appender:
    """Writes at the end of a new shard. `end` is where the next bytes go."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("xb", buffering=0)
        self.end = 0
        self.append(
            memoryview(bytes(HEADER))
        )  # taken now, so that a full disk cannot keep it from being sealed

    def append(self, raw: memoryview) -> int:
        """The offset at which the bytes were written. On an error nothing counts as written."""
        start = -(-self.end // ALIGNED) * ALIGNED
        self._file.seek(start)
        at = 0
        while at < len(raw):
            at += self._file.write(raw[at:])
        self.end = start + len(raw)
        return start

    def sync(self) -> None:
        """Wait until the bytes are on the disk."""
        os.fsync(self._file.fileno())

    def cut(self, end: int) -> None:
        """Take back everything from `end` on."""
        self._file.truncate(end)
        self.end = end

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class Shards:
    """Reads the shards of a folder. A file is mapped again when a record lies beyond what was mapped."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._maps: dict[int, mmap.mmap] = {}
        self._guard = threading.Lock()

    def view(self, shard: int, entry: Entry) -> Tensor:
        """The rows where they lie: written to, they change for this process only."""
        with self._guard:
            mapped = self._maps.get(shard)
            if mapped is None or len(mapped) < entry.stop:
                mapped = self._maps[shard] = self._map(shard, entry)
        return _tensor(mapped, entry, entry.offset)

    def read(self, shard: int, entry: Entry) -> Tensor:
        """The rows in memory of their own."""
        with self._open(shard).open("rb", buffering=0) as file:
            file.seek(entry.offset)
            raw = bytearray(entry.bytes)
            got, into = 0, memoryview(raw)
            while got < entry.bytes and (n := file.readinto(into[got:])):
                got += n
        if got < entry.bytes:
            raise _short(self._open(shard), entry)
        return _tensor(raw, entry, 0)

    def close(self) -> None:
        """Forget the maps; tensors in use keep theirs."""
        with self._guard:
            self._maps.clear()

    def _map(self, shard: int, entry: Entry) -> mmap.mmap:
        path = self._open(shard)
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size < entry.stop:
                raise _short(path, entry)
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)

    def _open(self, shard: int) -> Path:
        path = self._folder / shard_name(shard)
        if not path.exists():
            raise NoActivation(f"{path} is gone, and the records in it; restore it from a copy")
        return path


def _described(dtype: str, shape: tuple[int, ...], start: int, stop: int) -> dict[str, object]:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [start - HEADER, stop - HEADER]}


def _tensor(buffer: mmap.mmap | bytearray, entry: Entry, offset: int) -> Tensor:
    dtype: torch.dtype = vars(torch)[entry.dtype]
    count = entry.bytes // dtype.itemsize
    return torch.frombuffer(buffer, dtype=dtype, count=count, offset=offset).view(entry.shape)


def _short(path: Path, entry: Entry) -> UnreadableActivations:
    return UnreadableActivations(
        f"{path}: record {entry.number} should end at byte {entry.stop:,}; the file ends before; "
        "see `symposia lens acts DIR verify`"
    )
