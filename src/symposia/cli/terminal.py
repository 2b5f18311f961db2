"""One output stream: styled and wrapped on a terminal, plain lines elsewhere, silent if asked."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, TextIO

from symposia.core.palette import DARK, LIGHT, readable

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

_LIGHT_BACKGROUNDS = ("7", "15")


class Terminal:
    """`tty`: a person looks at it, or FORCE_COLOR says so. `quiet` swallows everything but `always`."""

    def __init__(self, stream: TextIO, env: Mapping[str, str], *, quiet: bool = False) -> None:
        self._stream, self._env = stream, env
        self.quiet = quiet
        self.tty = (stream.isatty() or bool(env.get("FORCE_COLOR"))) and env.get("TERM") != "dumb"
        self._console: Console | None = None

    @property
    def console(self) -> Console:
        """The rich console of this stream, made when first needed."""
        if self._console is None:
            from rich.console import Console

            self._console = Console(file=self._stream, highlight=False, markup=False, emoji=False)
        return self._console

    @property
    def width(self) -> int:
        """Columns; 100 where nobody looks."""
        return self.console.width if self.tty else 100

    def line(self, text: str = "", style: str = "") -> None:
        """One line, not wrapped where it is not a terminal."""
        if not self.quiet:
            self.always(text, style)

    def always(self, text: str, style: str = "") -> None:
        """A line that `quiet` lets through: errors."""
        if self.tty:
            self.console.print(text, style=style or None)
        else:
            self._write(text + "\n")

    def piece(self, text: str, style: str = "") -> None:
        """Text without a line end, as it is."""
        if self.quiet:
            return
        if self.tty:
            self.console.print(text, style=style or None, end="", soft_wrap=True)
        else:
            self._write(text)

    def show(self, what: RenderableType) -> None:
        """A table or a styled text; on a terminal only, the caller has a plain form for elsewhere."""
        if not self.quiet:
            self.console.print(what)

    def colour(self, author: str) -> str:
        """The author's colour, the same as in HTML, readable on this background."""
        dark = self._env.get("COLORFGBG", "").rpartition(";")[2] not in _LIGHT_BACKGROUNDS
        return colour_of(author, DARK if dark else LIGHT)

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


@lru_cache(maxsize=4096)
def colour_of(author: str, background: str) -> str:
    """`#rrggbb` by a stable hash of the name, with enough contrast."""
    hue = int.from_bytes(hashlib.sha256(author.encode()).digest()[:2]) / 65536
    return readable(hue, background)
