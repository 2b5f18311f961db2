"""A reply in channels, as harmony writes them: a header, a message, the next header.

`analysis` is reasoning, a message addressed to a function is a call, all else is text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

from symposia.core.request import Delta

from .closing import JSON_QUOTES, Closing
from .gathered import GAP, Gathered
from .jsoncalls import read_arguments, unfinished

MESSAGE = "<|message|>"
_ENDS = ("<|end|>", "<|return|>", "<|call|>", "<|start|>", "<|channel|>")
_END = re.compile("|".join(map(re.escape, _ENDS)))
_KEPT = ("<|start|>", "<|channel|>")  # they end a message by beginning the next header
_HEADER = ("<|start|>", "<|channel|>", "<|constrain|>", MESSAGE, "to=")
_LONGEST = 400  # characters of a header
_CHANNEL = re.compile(r"<\|channel\|>\s*(\w+)")
_TO = re.compile(r"\bto=([^\s<]+)")
_PEOPLE = ("user", "assistant", "all")
State = Literal["header", "answer", "reasoning", "call"]


class Channels:
    """The prompt began a header; a reply that does not go on with it is text."""

    def __init__(self, gathered: Gathered, *, offered: bool, opens_thinking: bool) -> None:
        self._gathered, self._offered = gathered, offered
        self._held = ""
        self.state: State = "reasoning" if opens_thinking else "header"
        self._name = ""
        self._gap: Literal["", "answer", "reasoning"] = ""
        self._seeking = Closing(_ENDS, JSON_QUOTES)

    def feed(self, chunk: str, *, final: bool) -> Iterator[Delta]:
        """What may be shown now that `chunk` came."""
        self._held += chunk
        before: tuple[State, int] | None = None
        while self._held and before != (before := (self.state, len(self._held))):
            if self.state == "header":
                yield from self._header(final)
            elif self.state == "call":
                yield from self._call(final)
            else:
                yield from self._say(self.state, final)

    def _header(self, final: bool) -> Iterator[Delta]:
        begins = _begins_header(self._held)
        at = self._held.find(MESSAGE, 0, _LONGEST) if begins else -1
        if at >= 0:
            self._open(self._held[:at])
            self._held = self._held[at + len(MESSAGE) :]
        elif begins is False or len(self._held) >= _LONGEST:
            self._begin("answer")
        elif final:
            if begins and (to := _function(self._held)) and self._offered:
                yield self._gathered.call((unfinished(len(self._gathered.calls), MESSAGE, name=to),), to)
            elif not begins:
                self._begin("answer")
                return
            self._held = ""

    def _open(self, header: str) -> None:
        """Begin the message of a header."""
        channel = _CHANNEL.search(header)
        self._name = _function(header) if self._offered else ""
        if self._name:
            self.state, self._seeking = "call", Closing(_ENDS, JSON_QUOTES)
        else:
            self._begin("reasoning" if channel and channel[1] == "analysis" else "answer")

    def _begin(self, phase: Literal["answer", "reasoning"]) -> None:
        self.state = phase
        self._gap = phase if self._gathered.has(phase) else ""

    def _say(self, phase: Literal["answer", "reasoning"], final: bool) -> Iterator[Delta]:
        end, ready = self._end_of_message(final)
        if ready:
            piece, self._held = self._held[:ready], self._held[ready:]
            if self._gap:
                yield self._gathered.say(GAP, phase)
                self._gap = ""
            yield self._gathered.say(piece, phase)
        if end:
            self._held = self._held.removeprefix("" if end in _KEPT else end)
            self.state = "header"

    def _end_of_message(self, final: bool) -> tuple[str, int]:
        """The mark that ends this message, if it came, and how much of the message stands before it."""
        at = self._held.find("<")
        while at >= 0:
            for end in _ENDS:
                if self._held.startswith(end, at):
                    return end, at
                if not final and len(self._held) - at < len(end) and end.startswith(self._held[at:]):
                    return "", at
            at = self._held.find("<", at + 1)
        return "", len(self._held)

    def _call(self, final: bool) -> Iterator[Delta]:
        found = self._seeking.find(self._held, 0, final=final)
        if found is None and not final:
            return
        index = len(self._gathered.calls)
        whole = len(self._held)
        mark = _END.search(self._held)
        first = mark.start() if mark else whole
        for at in dict.fromkeys((found[0] if found else whole, first)):
            body = self._held[:at]
            call = read_arguments(self._name, body, index)
            if at == first or not call.error:
                break
        end = next((end for end in _ENDS if self._held.startswith(end, at)), "")
        self._held = self._held[at + (0 if end in _KEPT else len(end)) :]
        self.state = "header"
        yield self._gathered.call((call,), f"{self._name} {body.strip()}")


def _begins_header(text: str) -> bool | None:
    """Whether a header's mark begins the text; None while it may."""
    rest = text.lstrip()
    if rest.startswith(_HEADER):
        return True
    return None if any(mark.startswith(rest) for mark in _HEADER) else False


def _function(header: str) -> str:
    """Whom the message is addressed to, if it is not people."""
    to = _TO.search(header)
    return to[1].removeprefix("functions.") if to and to[1] not in _PEOPLE else ""
