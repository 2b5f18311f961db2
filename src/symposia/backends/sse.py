"""Server-sent events out of bytes that come in any pieces.

As in the HTML standard, section 9.2: lines end with CR, LF or both, `data` lines of one event are joined, comments and
unknown fields are skipped, an event that no blank line ended is not one.
"""

from __future__ import annotations

from collections.abc import Sequence

from symposia.core.errors import BackendError

MOST_HELD = 16 * 1024 * 1024  # bytes of one line: no event of a chat is that long
_BOM = b"\xef\xbb\xbf"
_START = 200  # bytes of a stream that are kept to say what it began with
_LF, _CR = b"\n\r"  # as numbers, which bytes are searched for five times faster

Event = tuple[str, bytes]
"""Its name ("" where none was given) and its data."""


class EventReader:
    """Bytes in, whole events out. `strays` counts lines that belong to no event: a page of HTML has many."""

    def __init__(self) -> None:
        self._held = b""
        self._name = ""
        self._data: list[bytes] = []
        self._fresh = True
        self._between = False
        self.strays = 0
        self.start = b""

    def feed(self, piece: bytes) -> list[Event]:
        """The events this piece completes."""
        if (
            self._between
            and piece.startswith(b"data: ")
            and piece.endswith(b"\n\n")
            and piece.count(_LF) == 2
            and _CR not in piece
        ):
            return [("", piece[6:-2])]
        if len(self.start) < _START:
            self.start += piece[: _START - len(self.start)]
        held = self._held + piece if self._held else piece
        if self._fresh and len(held) >= len(_BOM):
            held, self._fresh = held.removeprefix(_BOM), False
        if _CR in held:
            held, last = (held[:-1], b"\r") if held.endswith(b"\r") else (held, b"")
            held = held.replace(b"\r\n", b"\n").replace(b"\r", b"\n") + last
        events: list[Event] = []
        if not self._data and not self._name:  # between two events: take the plain ones whole
            *blocks, held = held.split(b"\n\n")
            for block in blocks:
                if block.startswith(b"data: ") and _LF not in block:
                    events.append(("", block[6:]))
                else:
                    self._read([*block.split(b"\n"), b""], events)
        self._held = held
        if _LF in held:
            *lines, self._held = held.split(b"\n")
            self._read(lines, events)
        if len(self._held) > MOST_HELD:
            raise BackendError(f"a line of more than {MOST_HELD} bytes in the stream", cause="bad_response")
        unfinished = self._held or self._data or self._name or self._fresh
        self._between = not unfinished and len(self.start) == _START
        return events

    def _read(self, lines: Sequence[bytes], events: list[Event]) -> None:
        """Add the events these lines complete."""
        for line in lines:
            if line.startswith(b"data:"):
                self._data.append(line[6:] if line[5:6] == b" " else line[5:])
            elif not line:
                if self._data:
                    events.append((self._name, b"\n".join(self._data)))
                self._name, self._data = "", []
            else:
                self._field(*line.partition(b":")[::2])

    def _field(self, field: bytes, value: bytes) -> None:
        """A line that is not the plain case; a comment has no field name."""
        match field:
            case b"event":
                self._name = value.removeprefix(b" ").decode("utf-8", "replace")
            case b"data":
                self._data.append(value)  # without a colon: an empty line of data
            case b"" | b"id" | b"retry":
                pass
            case _:
                self.strays += 1
