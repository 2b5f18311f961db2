"""`events.jsonl` of a debate: everything that happened, numbered, with both clocks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

import msgspec
from msgspec import Meta

from symposia.cli.outdir import complete_lines
from symposia.core.clock import Clock
from symposia.core.redact import Redactor
from symposia.core.value import Count, Value, canonical
from symposia.talk.debate.events import Told


class RecordedTold(Value, frozen=True, kw_only=True):
    """A line: the event, its number, seconds since the epoch, and seconds of a clock that never goes back."""

    number: Count
    time: Annotated[float, Meta(ge=0)]
    monotonic: float
    event: Told


class Log:
    """Appends events to a file. Use as a context manager; a line torn by a crash is cut off first."""

    def __init__(self, path: Path, clock: Clock, redactor: Redactor) -> None:
        self._clock, self._redactor = clock, redactor
        self._number = complete_lines(path)
        self._file = path.open("ab")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._file.close()

    def tell(self, event: Told) -> None:
        """Append the event."""
        line = canonical(
            RecordedTold(
                number=self._number,
                time=self._clock.time(),
                monotonic=self._clock.monotonic(),
                event=event,
            )
        )
        if self._redactor.text(line.decode()) != line.decode():
            line = canonical(self._redactor.value(msgspec.json.decode(line)))
        self._file.write(line + b"\n")
        self._file.flush()
        self._number += 1
