"""How a syntax marks calls in a reply: what begins them, and how many characters of what follows are calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from symposia.core.message import ToolCall

from .closing import Closing
from .jsoncalls import unfinished


class Taken(NamedTuple):
    """The first `used` characters were calls, shown as `shown`. No calls: they are text."""

    calls: tuple[ToolCall, ...]
    used: int
    shown: str


class CallForm(Protocol):
    """One reply's calls. `opening`, if there is one, begins them anywhere in the answer; a whole reply may be calls."""

    opening: str

    def begins(self, head: str, *, final: bool) -> bool | None:
        """Whether an answer that begins with `head` may be calls as a whole; None: more of it is needed."""
        ...

    def take(self, text: str, index: int, *, final: bool) -> Taken | None:
        """The calls at the beginning of `text`, from their opening on; None: more is needed. `index` of the first."""
        ...


class NoCalls:
    """Everything is text."""

    opening = ""

    def begins(self, head: str, *, final: bool) -> bool | None:
        """Never."""
        return False

    def take(self, text: str, index: int, *, final: bool) -> Taken | None:
        """Nothing."""
        return Taken((), len(text), "")


class Tagged:
    """Calls between two tags.

    A call ends at the first closing tag that no argument quotes, if what it closes can be read; else at the first.
    """

    def __init__(
        self,
        opening: str,
        closing: str,
        quotes: tuple[str, ...],
        read: Callable[[str, int], tuple[ToolCall, ...]],
    ) -> None:
        self.opening = opening
        self._closing, self._quotes, self._read = closing, quotes, read
        self._seeking = Closing((closing,), quotes)

    def begins(self, head: str, *, final: bool) -> bool | None:
        """Never: calls have a tag."""
        return False

    def take(self, text: str, index: int, *, final: bool) -> Taken | None:
        """One tagged block."""
        start = len(self.opening)
        found = self._seeking.find(text, start, final=final)
        if found is None and not final:
            return None
        self._seeking = Closing((self._closing,), self._quotes)
        first = text.find(self._closing, start)
        if first < 0:
            return Taken((unfinished(index, self._closing),), len(text), text[start:].strip())
        for at in dict.fromkeys((found[0] if found else first, first)):
            body = text[start:at]
            calls = self._read(body, index)
            if at == first or not any(call.error for call in calls):
                break
        return Taken(calls, at + len(self._closing), body.strip())
