"""Streaming text into a column: words wrap as they come, later lines begin under the first."""

from __future__ import annotations

from collections.abc import Callable

Write = Callable[[str], None]


class Flow:
    """Writes pieces into the columns `indent` to `width`. A word is written when its end has come."""

    def __init__(self, write: Write, *, indent: int, width: int) -> None:
        from rich.cells import cell_len

        self._write, self._indent, self._room = write, indent, max(width - indent - 1, 20)
        self._length = cell_len
        self._column = 0
        self._word = ""
        self._gap = ""

    def feed(self, text: str) -> None:
        """More text, in pieces of any size."""
        for character in text:
            if character == "\n":
                self._flush()
                self._break()
            elif character.isspace():
                self._flush()
                self._gap += " "
            else:
                self._word += character

    def end(self) -> None:
        """Write what is held, and end the line."""
        self._flush()
        self._write("\n")
        self._column, self._gap = 0, ""

    def _flush(self) -> None:
        if not self._word:
            return
        needed = self._length(self._gap + self._word)
        if self._column and self._column + needed > self._room:
            self._break()
        if not self._column:
            self._gap = ""
        self._write(self._gap + self._word)
        self._column += self._length(self._gap + self._word)
        self._gap, self._word = "", ""

    def _break(self) -> None:
        self._write("\n" + " " * self._indent)
        self._column, self._gap = 0, ""
