"""From a model's raw text to parts, piece by piece: any chunking gives what the whole gives, and no text raises.

Reasoning stands at the start between think tags (or is opened by the prompt); a think tag later is text. A malformed
call becomes a `ToolCall` with an error.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from symposia.core.errors import InvalidInput
from symposia.core.message import Part, Reasoning, Text, ToolCall
from symposia.core.request import Delta, Syntax

THINK, END_THINK = "<think>", "</think>"
CALL, END_CALL = "<tool_call>", "</tool_call>"
SUPPORTED: tuple[Syntax, ...] = ("plain", "hermes", "prompted")


class Parser:
    """Reads one reply. `feed` gives what may be shown already; `close` gives the rest and the parts."""

    def __init__(self, syntax: Syntax = "plain", *, opens_thinking: bool = False) -> None:
        if syntax not in SUPPORTED:
            raise InvalidInput(f"call syntax {syntax!r}: expected one of {', '.join(SUPPORTED)}")
        self._calls = syntax in ("hermes", "prompted")
        self._held = ""
        self._state = "thinking" if opens_thinking else "start"
        self._thoughts: list[str] = []
        self._text: list[str] = []
        self._found: list[ToolCall] = []
        self._fresh = True

    def feed(self, chunk: str) -> tuple[Delta, ...]:
        """Pieces of answer, reasoning or tool text, without think delimiters."""
        self._held += chunk
        return tuple(self._drain(final=False))

    def close(self) -> tuple[tuple[Delta, ...], tuple[Part, ...]]:
        """The last pieces, and everything as parts: reasoning, text, calls."""
        deltas = tuple(self._drain(final=True))
        thought, text = "".join(self._thoughts).strip("\n"), "".join(self._text)
        if self._found:
            text = text.rstrip()
        parts: list[Part] = [Reasoning(thought)] if thought.strip() else []
        parts += [Text(text)] if text else []
        return deltas, (*parts, *self._found)

    @property
    def unclosed(self) -> bool:
        """Whether a think block was never closed."""
        return self._state == "thinking"

    def _drain(self, *, final: bool) -> Iterator[Delta]:
        while True:
            before = (self._state, len(self._held))
            match self._state:
                case "start":
                    self._start(final)
                case "thinking":
                    yield from self._until(END_THINK, self._thoughts, "answering", "reasoning", final)
                case "answering":
                    yield from self._answer(final)
                case "calling":
                    yield from self._call(final)
            if (self._state, len(self._held)) == before:
                return

    def _start(self, final: bool) -> None:
        stripped = self._held.lstrip()
        if stripped.startswith(THINK):
            self._held, self._state = stripped[len(THINK) :], "thinking"
        elif final or not THINK.startswith(stripped):
            self._state = "answering"
            self._fresh = False

    def _answer(self, final: bool) -> Iterator[Delta]:
        if self._fresh:  # blank lines after reasoning or a call belong to neither
            self._held = self._held.lstrip("\n")
            if not self._held:
                return
            self._fresh = False
        if self._calls:
            yield from self._until(CALL, self._text, "calling", "answer", final)
        elif self._held:
            yield self._take(len(self._held), self._text, "answer")

    def _until(self, tag: str, into: list[str], then: str, phase: str, final: bool) -> Iterator[Delta]:
        at = self._held.find(tag)
        ready = at if at >= 0 else len(self._held) - (0 if final else _overlap(self._held, tag))
        if ready:
            yield self._take(ready, into, phase)
        if at >= 0:
            self._held, self._state = self._held[len(tag) :], then

    def _take(self, n: int, into: list[str], phase: Any) -> Delta:
        piece, self._held = self._held[:n], self._held[n:]
        into.append(piece)
        return Delta(text=piece, phase=phase)

    def _call(self, final: bool) -> Iterator[Delta]:
        at = self._held.find(END_CALL)
        if at < 0 and not final:
            return
        body, self._held = (
            (self._held[:at], self._held[at + len(END_CALL) :]) if at >= 0 else (self._held, "")
        )
        self._found.append(read_call(body, len(self._found), closed=at >= 0))
        self._state, self._fresh = "answering", True
        yield Delta(text=body.strip(), phase="tool")


class _Call(msgspec.Struct, forbid_unknown_fields=False):
    name: str
    arguments: Any = {}


def read_call(body: str, index: int, *, closed: bool = True) -> ToolCall:
    """A hermes call from the JSON between its tags; what is wrong with it becomes `error`."""
    name = f"call_{index}"
    if not closed:
        return ToolCall(id=name, name="", error=f"expected {END_CALL} after the call; the reply ended first")
    try:
        call = msgspec.json.decode(body.encode("utf-8", "surrogatepass"), type=_Call)
        arguments = call.arguments
        if isinstance(arguments, str):  # some models encode the arguments twice
            arguments = msgspec.json.decode(arguments)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        return ToolCall(
            id=name,
            name="",
            error=f"expected JSON with name and arguments; got {body.strip()[:200]!r} ({error})",
        )
    if not isinstance(arguments, dict):
        return ToolCall(
            id=name, name=call.name, error=f"expected an object of arguments; got {type(arguments).__name__}"
        )
    return ToolCall(id=name, name=call.name, arguments=arguments)


def parse(text: str, syntax: Syntax = "plain", *, opens_thinking: bool = False) -> tuple[Part, ...]:
    """The parts of a whole reply."""
    parser = Parser(syntax, opens_thinking=opens_thinking)
    parser.feed(text)
    return parser.close()[1]


def _overlap(text: str, tag: str) -> int:
    """The length of the longest end of `text` that begins `tag`."""
    for n in range(min(len(tag) - 1, len(text)), 0, -1):
        if text.endswith(tag[:n]):
            return n
    return 0
