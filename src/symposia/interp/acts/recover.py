"""Taking up a folder to write: one writer, and what a crash left behind is cut off, sealed and told."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

from .index import entries, set_state, states
from .record import StoreLocked
from .shard import HEADER, seal, shard_name

METADATA = {"symposia": "activations/1"}


class ActivationsCut(UserWarning):
    """A folder's last writer ended in the middle of a write; bytes that no record owns were cut off."""


@dataclass(frozen=True)
class Cut:
    """`bytes` of `shard` that belonged to no record; `whole`: the file held nothing else, and is gone."""

    shard: str
    bytes: int
    whole: bool


class Lock:
    """The right to write to a folder, held by the process and released by the kernel when it dies."""

    def __init__(self, folder: Path) -> None:
        path = folder / "writer.lock"
        self._file = FileIO(path, "a+")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = path.read_text(encoding="utf-8").strip() or "another process"
            self._file.close()
            raise StoreLocked(
                f"{folder} is being written by {holder}; a store has one writer: wait for it, give this one a folder "
                "of its own (several are read as one), or open it to read only"
            ) from error
        self._file.truncate(0)
        self._file.write(f"process {os.getpid()}\n".encode())

    def release(self) -> None:
        """Let others write."""
        self._file.truncate(0)
        self._file.close()


def recover(folder: Path, index: sqlite3.Connection) -> tuple[Cut, ...]:
    """Cut every shard that was not sealed after its last record, and seal it. Files of no record are removed."""
    shards = folder / "shards"
    cuts: list[Cut] = []
    known = states(index)
    for path in sorted(shards.glob("*.safetensors")):
        if int(path.stem) not in known:
            cuts.append(Cut(path.name, max(path.stat().st_size - HEADER, 0), whole=True))
            path.unlink()
    for number, state in known.items():
        if state == "open":
            cuts += _close(shards / shard_name(number), number, index)
    return tuple(cut for cut in cuts if cut.bytes)


def _close(path: Path, number: int, index: sqlite3.Connection) -> list[Cut]:
    kept = entries(index, number)
    size = path.stat().st_size if path.exists() else 0
    end = max((entry.stop for entry in kept), default=HEADER)
    if kept and size < end:  # not by a crash of ours: bytes are on the disk before the index knows of them
        set_state(index, number, "damaged")
        return []
    seal_shard(path, number, index)
    return [Cut(path.name, size - end, whole=not kept)] if size > end else []


def seal_shard(path: Path, number: int, index: sqlite3.Connection) -> None:
    """Header, disk, index, in this order; a shard without records goes."""
    kept = entries(index, number)
    if kept:
        seal(path, kept, METADATA)
        set_state(index, number, "sealed")
    else:
        path.unlink(missing_ok=True)
        set_state(index, number, None)


def next_numbers(index: sqlite3.Connection) -> tuple[int, int]:
    """The next record and the next shard. Numbers of dropped records are not given again while others follow."""
    [(record, shard)] = index.execute(
        "SELECT (SELECT coalesce(max(id), 0) FROM record), (SELECT coalesce(max(number), -1) FROM shard)"
    )
    return int(record) + 1, int(shard) + 1
