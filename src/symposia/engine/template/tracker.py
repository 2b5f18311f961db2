"""The phase of each sampled token, and of the next one, decided as it comes.

Delimiters that are control tokens are seen at once. Delimiters a tokenizer spells in several ordinary tokens are seen
when their last token comes; until then they count as ordinary text.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from symposia.core.span import Phase

_TAIL = 200  # characters of text kept to recognise delimiters


@dataclass(frozen=True)
class Delimiters:
    """What a template writes around thinking and calls, and which ids are control tokens.

    `header`: the last control token of a channel header, as in harmony; `reply_head` begins every message of a reply
    there and `call_mark` stands in a call's header. `bare_call`: calls have no delimiter but begin with this.
    """

    think: tuple[str, str] | None
    call: tuple[str, str] | None
    header: str
    bare_call: str
    call_mark: str
    reply_head: str
    control_ids: frozenset[int]
    stops: frozenset[int]
    piece: Callable[[int], str]


class Tracker:
    """A state machine over one reply. `next_phase` is what the next token is if it is ordinary text."""

    def __init__(self, delimiters: Delimiters, *, opens_thinking: bool, tools: bool) -> None:
        self._marks = delimiters
        self._tools = tools
        self._tail = ""
        self._begun = False
        self._edge: Phase | None = None  # just after a delimiter: the phase of white space that belongs to it
        self.next_phase: Phase = (
            "markup" if delimiters.header else "reasoning" if opens_thinking else "answer"
        )

    def feed(self, token_id: int) -> Phase:
        """The phase of this sampled token."""
        marks = self._marks
        piece = marks.piece(token_id)
        self._tail = (self._tail + piece)[-_TAIL:]
        if token_id in marks.stops:
            self.next_phase, self._edge = "markup", None
            return "markup"
        if marks.header:
            return self._in_channels(token_id, piece)
        now = self.next_phase
        turned = self._turned(piece)
        if token_id in marks.control_ids:
            self._edge = turned or self._edge
            return "markup"
        if self._edge and not piece.strip():
            return self._edge
        self._edge = turned
        if not self._begun and now == "answer" and piece.strip():
            self._begun = True
            if self._tools and marks.bare_call and piece.lstrip()[0] == marks.bare_call:
                self.next_phase = now = "tool"
        return now

    def _turned(self, piece: str) -> Phase | None:
        """Whether a delimiter ended with this token and another phase begins; then what white space after it is."""
        pairs: list[tuple[tuple[str, str] | None, Phase, Phase]] = [
            (self._marks.think, "reasoning", "markup")
        ]
        if self._tools:
            pairs.append((self._marks.call, "tool", "tool"))
        for pair, inside, edge in pairs:
            if pair is None:
                continue
            if self.next_phase == "answer" and _ends(self._tail, pair[0], piece):
                self.next_phase, self._begun = inside, True
                return edge
            if self.next_phase == inside and pair[1] and _ends(self._tail, pair[1], piece):
                self.next_phase, self._begun = "answer", inside == "tool"
                return edge
        return None

    def _in_channels(self, token_id: int, piece: str) -> Phase:
        marks = self._marks
        now = self.next_phase
        if token_id not in marks.control_ids:
            head = self._tail.removeprefix(marks.reply_head).strip()
            calls = bool(head) and (head.startswith(marks.call_mark) or marks.call_mark.startswith(head))
            return "tool" if now == "markup" and marks.call_mark and calls else now
        if piece == marks.header:
            thinks = marks.think is not None and self._tail.endswith(marks.think[0])
            calls = bool(marks.call_mark) and marks.call_mark in self._tail
            self.next_phase = "tool" if calls else "reasoning" if thinks else "answer"
            self._tail = ""
        else:
            self.next_phase = "markup"
            if now != "markup":
                self._tail = ""
        return "markup"


def _ends(tail: str, delimiter: str, piece: str) -> bool:
    """Whether the delimiter is in the tail and reaches into the newest piece."""
    at = tail.rfind(delimiter)
    return at >= 0 and at + len(delimiter) > len(tail) - len(piece)
