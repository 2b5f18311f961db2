"""Finding the finished answer in a reply: one function for every path of every method."""

from __future__ import annotations

from symposia.core.message import Message
from symposia.core.value import Value

MARKER = "[[ANSWER]]"


class Extracted(Value, frozen=True):
    """`text` is a piece of the message; `marker`: it stood behind one; `truncated`: the reply was cut by length."""

    text: str
    marker: bool
    truncated: bool

    @property
    def cause(self) -> str | None:
        """Why this is no answer, or None: half a reasoning is none, and neither is silence."""
        if self.truncated and not self.marker:
            return "truncated"
        return None if self.text else "empty_answer"


def extract(message: Message) -> Extracted:
    """What follows the last marker, stripped; without a marker the whole visible text. Reasoning is never looked at."""
    made = message.provenance
    return extract_text(message.text, truncated=made is not None and made.finish_reason == "length")


def extract_text(text: str, *, truncated: bool = False) -> Extracted:
    """The same of a text, and whether it was cut."""
    _, marker, rest = text.rpartition(MARKER)
    return Extracted(rest.strip(), bool(marker), truncated)
