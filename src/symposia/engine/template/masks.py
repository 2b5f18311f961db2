"""Typed control strings are plain text to the template too: it is shown a word in their place."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from .sentinels import word

_FIRST = 2_000_000  # sentinel numbers of masks; far from those of slots
Json = Any


class Masks:
    """Words in place of the control strings found in some texts; `restore` cuts a text at those words."""

    def __init__(self, pattern: re.Pattern[str], texts: Sequence[str], typed: Callable[[str], bool]) -> None:
        found = sorted({hit for text in texts if typed(text) for hit in pattern.findall(text)})
        self._pattern = pattern
        self._words: dict[str, str] = {}
        for control in found:
            self._words[control] = self._unused(len(self._words), texts)
        self._controls = {w: control for control, w in self._words.items()}
        self._word = re.compile("|".join(self._controls) or r"(?!)")

    def __bool__(self) -> bool:
        return bool(self._words)

    @property
    def controls(self) -> tuple[str, ...]:
        """The control strings that were typed."""
        return tuple(self._words)

    def hide(self, text: str) -> str:
        """The text with a word for every control string."""
        return self._pattern.sub(lambda hit: self._words[hit[0]], text) if self._words else text

    def hide_json(self, value: Json) -> Json:
        """The same for every string and key of a JSON value."""
        return map_strings(value, self.hide) if self._words else value

    def restore(self, text: str) -> list[tuple[str, bool]]:
        """Pieces of the text; True marks a control string that was hidden, as somebody typed it."""
        pieces: list[tuple[str, bool]] = []
        end = 0
        for hit in self._word.finditer(text):
            if hit.start() > end:
                pieces.append((text[end : hit.start()], False))
            pieces.append((self._controls[hit[0]], True))
            end = hit.end()
        if end < len(text):
            pieces.append((text[end:], False))
        return pieces

    def _unused(self, at: int, texts: Sequence[str]) -> str:
        number = _FIRST + at
        while any(word(number) in text for text in texts):
            number += 1_000
        return word(number)


def map_strings(value: Json, change: Callable[[str], str]) -> Json:
    """A JSON value with every string and key changed."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {change(key): map_strings(item, change) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [map_strings(item, change) for item in value]
    return value


def strings_in(value: Json) -> Iterable[str]:
    """Every string and key of a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from strings_in(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from strings_in(item)
