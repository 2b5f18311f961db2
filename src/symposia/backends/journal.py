"""Every completed generation of a run, one JSON line each, so that nothing is generated twice.

The file only grows. A line is whole and durable before its completion is delivered; a last line torn by a crash belongs
to nobody, and is cut off. One process writes it; others may read it meanwhile.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Literal, Self

import msgspec

from symposia.core.errors import InvalidInput
from symposia.core.request import About, Completion
from symposia.core.transcript import check_header
from symposia.core.value import Count, Value, decode

from .durable import Appender

FORMAT: Final = "symposia.journal"
FILE: Final = "journal.jsonl"
Places = dict[bytes, tuple[int, int]]
"""Where each generation's line begins and ends."""


class Generation(Value, frozen=True, kw_only=True):
    """A request's digest and what came of it: `draw` counts from 0 where equal requests are draws of their own.

    `at` is when it was complete, in seconds since the epoch; `took_s` how long it took.
    """

    request: str
    draw: Count = 0
    about: About = About()
    at: float = 0.0
    took_s: float = 0.0
    completion: Completion


class JournalCut(UserWarning):
    """A journal's last writer ended in the middle of a line; it was cut off. No completion of it was delivered."""


class JournalLocked(InvalidInput):
    """Somebody else writes to the journal."""


class Journal:
    """The generations of a run, found by their request. A context manager: leaving it closes the file.

    `cut` counts the bytes of a torn line that were cut off when it was opened.
    """

    def __init__(self, file: int, name: str, *, places: Places, cut: int = 0) -> None:
        self._file, self._places, self.cut = file, places, cut
        self._appender = Appender(file, name)

    @classmethod
    def open(cls, folder: Path | str) -> Journal:
        """The journal of a run folder, to read and write; made if it is not there.

        `JournalLocked` while another process writes it; `InvalidInput` names a line that is not one of ours. Warns
        `JournalCut` if its last line is torn.
        """
        path = Path(folder) / FILE
        path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            _lock(file, path)
            places, cut = _take_up(file, path)
        except BaseException:
            os.close(file)
            raise
        return cls(file, str(path), places=places, cut=cut)

    @classmethod
    def unkept(cls) -> Journal:
        """A journal that is gone when it is closed: generations are shared, and nothing is left behind."""
        with tempfile.TemporaryFile() as made:
            file = os.dup(made.fileno())
        return cls(file, "the journal", places={})

    def __len__(self) -> int:
        return len(self._places)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Finish writing; let others write. What it holds can no longer be found in it."""
        self._appender.close()
        self._places = {}

    def holds(self, request: str, draw: int = 0) -> bool:
        """Whether it is known what a request gave."""
        return _key(request, draw) in self._places

    async def find(self, request: str, draw: int = 0) -> Generation | None:
        """What a request gave, once it is durable; None if it is not known."""
        place = self._places.get(_key(request, draw))
        if place is None:
            return None
        start, stop = place
        await self._appender.settled(stop)
        return _GENERATION.decode(os.pread(self._file, stop - start, start))

    async def add(self, generation: Generation) -> None:
        """Keep a generation; returns when it is durable. `NotKept` if it cannot be."""
        line = _ENCODER.encode(generation) + b"\n"
        start = self._appender.add(line)
        place = (start, start + len(line))
        self._places.setdefault(_key(generation.request, generation.draw), place)
        await self._appender.settled(place[1])


def read_journal(folder: Path | str) -> Iterator[Generation]:
    """The generations of a run folder in the order they were kept, whoever is writing; a torn last line is left out."""
    path = Path(folder) / FILE
    if not path.exists():
        raise InvalidInput(f"{folder}: expected a run folder with {FILE}; there is none")
    with path.open("rb") as file:
        for number, _, line in _lines(file, path):
            if number > 1:
                yield decode(line, Generation, f"{path}:{number}")


class _Header(Value, frozen=True):
    format: Literal["symposia.journal"] = FORMAT
    version: int = 1


class _Asked(msgspec.Struct):
    request: str
    draw: Count = 0


_ENCODER = msgspec.json.Encoder()
_GENERATION = msgspec.json.Decoder(Generation)
_ASKED = msgspec.json.Decoder(_Asked)
_HEADER = _ENCODER.encode(_Header()) + b"\n"


def _key(request: str, draw: int) -> bytes:
    """A digest in half the room, and the number of a draw after the first."""
    return bytes.fromhex(request.removeprefix("sha256:")) + (draw.to_bytes(4) if draw else b"")


def _lock(file: int, path: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise JournalLocked(
            f"{path} is being written by another process; a run has one writer: wait for it, or choose another folder"
        ) from error


def _take_up(file: int, path: Path) -> tuple[Places, int]:
    """Where each request's generations are, and how many bytes of a torn end had to be cut."""
    places: Places = {}
    size, whole = os.fstat(file).st_size, 0
    with os.fdopen(os.dup(file), "rb") as reading:
        reading.seek(0)
        for number, start, line in _lines(reading, path):
            whole = start + len(line)
            if number > 1:
                places.setdefault(_asked(line, path, number), (start, whole))
    if whole < size:
        os.ftruncate(file, whole)
        warnings.warn(JournalCut(f"{path}: {size - whole} bytes of a torn line were cut off"), stacklevel=3)
    if whole == 0:
        os.write(file, _HEADER)
    if size != whole or whole == 0:
        os.fsync(file)
        _sync_folder(path.parent)
    return places, size - whole


def _asked(line: bytes, path: Path, number: int) -> bytes:
    try:
        asked = _ASKED.decode(line)
        return _key(asked.request, asked.draw)
    except (msgspec.MsgspecError, ValueError) as error:
        raise InvalidInput(
            f"{path}:{number}: expected a generation; {error}; this is no journal of ours: choose another folder"
        ) from error


def _lines(file: BinaryIO, path: Path) -> Iterator[tuple[int, int, bytes]]:
    """Number, start and bytes of each whole line, the header checked."""
    start = 0
    for number, line in enumerate(file, start=1):
        if not line.endswith(b"\n"):
            return
        if number == 1:
            check_header(line, FORMAT, 1, str(path))
        yield number, start, line
        start += len(line)


def _sync_folder(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
