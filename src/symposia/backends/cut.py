"""Ending a reply right after one of some strings, wherever the pieces of its text are cut."""

from __future__ import annotations

from collections.abc import Sequence


class Cut:
    """Lets text through up to the end of the match that ends first; `met` from then on."""

    def __init__(self, strings: Sequence[str]) -> None:
        self._strings = strings
        self._longest = max(map(len, strings)) if strings else 0
        self._tail = ""
        self.met = False

    def feed(self, piece: str) -> str:
        """The part of this piece that belongs to the reply: all of it until a string is met, then nothing."""
        if not self._strings:
            return piece
        if self.met:
            return ""
        seen = self._tail + piece
        ends = [at + len(s) for s in self._strings if (at := seen.find(s)) >= 0]
        if ends:
            self.met = True
            return piece[: min(ends) - len(self._tail)]
        self._tail = seen[-(self._longest - 1) :] if self._longest > 1 else ""
        return piece
