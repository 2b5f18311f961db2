"""Where a call ends: at its closing tag, unless the tag is only quoted inside an argument."""

from __future__ import annotations

import re

JSON_QUOTES: tuple[str, ...] = ('"',)
PYTHON_QUOTES: tuple[str, ...] = ('"""', "'''", '"', "'")


class Closing:
    """Looks for the first of `tags` outside quotes in a text that only grows; every character is looked at once."""

    def __init__(self, tags: tuple[str, ...], quotes: tuple[str, ...]) -> None:
        self._outside = re.compile("|".join(map(re.escape, (*tags, *quotes))))
        self._quotes = quotes
        self._widest = max(map(len, (*tags, *quotes)))
        self._at = 0
        self._quote = ""

    def find(self, text: str, start: int, *, final: bool) -> tuple[int, int] | None:
        """Where the tag stands, or None: not yet. `start`: where to begin, the first time."""
        self._at = max(self._at, start)
        while True:
            if self._quote:
                if not self._leave(text):
                    return None
                continue
            found = self._outside.search(text, self._at)
            if found is None:
                self._at = max(self._at, len(text) - self._widest + 1)
                return None
            if found[0] not in self._quotes:
                return found.span()
            if not final and len(text) - found.start() < max(map(len, self._quotes)):
                self._at = found.start()
                return None
            self._at, self._quote = found.end(), found[0]

    def _leave(self, text: str) -> bool:
        """Go to where the quoted text ends; a line's end ends one that may not hold it."""
        quote = self._quote
        line = r"|\n" if "'" in self._quotes and len(quote) == 1 else ""
        found = re.compile(rf"(?s:\\.)|{quote}{line}").search(text, self._at)
        if found is None:
            keep = len(quote) - 1 if len(quote) > 1 else 0
            slash = text.endswith("\\")
            self._at = max(self._at, len(text) - max(keep, 1 if slash else 0))
            return False
        self._at = found.end()
        if found[0] in (quote, "\n"):
            self._quote = ""
        return True
