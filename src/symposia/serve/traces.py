"""Traces: a line a request in `YYYY-MM-DD.jsonl` (UTC), redacted before it is written, by a thread of its own.

Tracing never holds up serving. What finds the queue full is counted, not written; when the disk is full, tracing stops
with one event, and serving goes on.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from symposia.core.redact import Redactor
from symposia.core.served import ServerEvent, TracingStopped
from symposia.core.trace import Trace, redacted

WAITING = 64 * 1024 * 1024
_LEAST = 1_024
_END_S = 10.0
_encode = msgspec.json.Encoder().encode


class Traces:
    """Takes a trace of each request, from any thread. Close it: what waits is written first.

    `waiting`: how many characters may wait to be written, about; what comes beyond them is left out.

    Raises `OSError` if the folder cannot be made. Nobody but the owner can read the files: they hold what was said.
    """

    def __init__(
        self,
        folder: Path,
        redactor: Redactor,
        emit: Callable[[ServerEvent], None],
        *,
        waiting: int = WAITING,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._redactor, self._emit = folder, redactor, emit
        self._queue: queue.SimpleQueue[Trace | None] = queue.SimpleQueue()
        self._file, self._most = _Day(), waiting
        self._lock, self._held, self._left = threading.Lock(), 0, 0
        self._stopped = self._closed = False
        self._thread = threading.Thread(target=self._run, name="symposia-traces", daemon=True)
        self._thread.start()

    def __call__(self, trace: Trace) -> None:
        """Keep a trace; returns at once."""
        with self._lock:
            if self._stopped or self._closed or self._held >= self._most:
                self._left += 1
                return
            self._held += _size(trace)
        self._queue.put(trace)

    @property
    def untraced(self) -> int:
        """How many requests have no trace: the queue was full, or the disk."""
        return self._left

    def close(self) -> None:
        """Write what waits, then end; 10 s at most. What comes after it is left out."""
        self._closed = True
        self._queue.put(None)
        self._thread.join(_END_S)

    def _run(self) -> None:
        while (trace := self._queue.get()) is not None:
            if not self._stopped:
                self._keep(trace)
            with self._lock:
                self._held -= _size(trace)
                self._left += self._stopped
        self._file.close()

    def _keep(self, trace: Trace) -> None:
        try:
            self._write(trace)
        except OSError as error:
            self._stopped = True
            self._emit(TracingStopped(why=error.strerror or type(error).__name__))

    def _write(self, trace: Trace) -> None:
        day = datetime.fromtimestamp(trace.time, UTC).date()
        self._file.append(self._folder / f"{day}.jsonl", line(trace, self._redactor) + b"\n")


def line(trace: Trace, redactor: Redactor) -> bytes:
    """A trace as it is written: without secrets, also where one was said in pieces."""
    raw = _encode(trace)
    spoken = "\n".join(
        "".join(piece.text for piece in made.pieces if piece.phase == phase)
        for made in trace.generations
        for phase in ("reasoning", "answer", "refusal", "tool")
    )
    if redactor.json(raw) == raw and redactor.text(spoken) == spoken:
        return raw  # ten times cheaper, and what most traces are
    return _encode(redacted(trace, redactor))


def _size(trace: Trace) -> int:
    """About how much memory a waiting trace takes."""
    return _LEAST + sum(len(said.content or "") for said in trace.messages)


class _Day:
    """The file of a day, open. A line is there whole or not at all, but for a crash in the middle of it."""

    def __init__(self) -> None:
        self._path: Path | None = None
        self._handle = -1

    def append(self, path: Path, line: bytes) -> None:
        """Write a line at the end of a file; `OSError` if it does not fit."""
        if path != self._path:
            self._open(path)
        written = 0
        try:
            while written < len(line):
                written += os.write(self._handle, line[written:])
        except OSError:
            end = os.fstat(self._handle).st_size
            if written and os.pread(self._handle, written, end - written) == line[:written]:
                os.ftruncate(self._handle, end - written)  # unless another server wrote behind it
            raise

    def close(self) -> None:
        """Let go of the file."""
        if self._handle >= 0:
            os.close(self._handle)
        self._path, self._handle = None, -1

    def _open(self, path: Path) -> None:
        """A line that a crash left without an end is ended, so that it spoils no other."""
        self.close()
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        self._path = path
        size = os.fstat(self._handle).st_size
        if size and os.pread(self._handle, 1, size - 1) != b"\n":
            os.write(self._handle, b"\n")
