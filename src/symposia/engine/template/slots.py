"""Lines as a template's messages, with every piece of content in a numbered slot.

The same walk makes the real messages and those with a sentinel in each slot; `shape` is everything else about them, so
that the literal text between the slots can be remembered by shape.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from symposia.core.lines import Line
from symposia.core.message import ToolCall

from .facts import TemplateFacts
from .sentinels import fraction, number, short_word, word

SlotKind = Literal["content", "reasoning", "name", "argument", "number", "id"]
JsonObject = dict[str, Any]


class Slot(NamedTuple):
    """A place for content: which line, which call of it (-1: none), and what is to stand there."""

    line: int
    kind: SlotKind
    call: int
    value: str | int | float

    @property
    def in_call(self) -> bool:
        """Whether the slot is a part of a call."""
        return self.call >= 0


@dataclass(frozen=True)
class Conversation:
    """A template's messages and the slots they were filled from, in order.

    `answers`: the tool line that says a call's id or name again, by that slot's number.
    """

    messages: list[JsonObject]
    slots: list[Slot]
    shape: tuple[object, ...]
    answers: dict[int, int]


def converse_with(lines: Sequence[Line], facts: TemplateFacts, hide: Callable[[str], str]) -> Conversation:
    """The real messages. `hide` masks the control strings somebody typed."""
    builder = _Builder(facts, hide)
    messages = [builder.message(i, line) for i, line in enumerate(lines)]
    return Conversation(messages, builder.slots, tuple(builder.shape), builder.answers)


def sentinels_of(
    lines: Sequence[Line], facts: TemplateFacts, hide: Callable[[str], str]
) -> tuple[list[JsonObject], list[str]]:
    """The same messages with a sentinel in each slot, and how each sentinel reads."""
    builder = _Builder(facts, hide, sentinels=True)
    messages = [builder.message(i, line) for i, line in enumerate(lines)]
    return messages, builder.texts


def shows_reasoning(line: Line, facts: TemplateFacts) -> bool:
    """Whether the template is handed this line's native reasoning."""
    if not line.reasoning or facts.reasoning == "dropped":
        return False
    return facts.reasoning_beside_text or not (line.calls and line.text)


def shows_text(line: Line, facts: TemplateFacts) -> bool:
    """Whether the template is handed this line's text."""
    return bool(line.text) and not (line.calls and facts.call_text == "dropped")


class _Builder:
    def __init__(self, facts: TemplateFacts, hide: Callable[[str], str], *, sentinels: bool = False) -> None:
        self.facts = facts
        self.hide = hide
        self.sentinels = sentinels
        self.slots: list[Slot] = []
        self.texts: list[str] = []
        self.shape: list[object] = []
        self.answers: dict[int, int] = {}
        self._calls: dict[
            str, tuple[Any, Any, int]
        ] = {}  # call id -> what stands for its id and name, and where

    def message(self, at: int, line: Line) -> JsonObject:
        facts = self.facts
        content = self._fill(at, "content", line.text) if shows_text(line, facts) else ""
        message: JsonObject = {
            "role": line.role,
            "content": content if facts.content == "text" else [{"type": "text", "text": content}],
        }
        self.shape.append((line.role, bool(content), len(line.calls)))
        if shows_reasoning(line, facts):
            thought = self._fill(at, "reasoning", "\n".join(r.text for r in line.reasoning))
            message["reasoning_content"] = message["thinking"] = thought
            self.shape.append("reasoning")
        if line.calls:
            message["tool_calls"] = [self._call(at, i, call) for i, call in enumerate(line.calls)]
        if line.role == "tool":
            self._answer(at, line, message)
        return message

    def _call(self, at: int, index: int, call: ToolCall) -> JsonObject:
        call_id = self._fill(at, "id", call.id, index)
        name = self._fill(at, "name", call.name, index)
        self._calls[call.id] = (call_id, name, len(self.slots) - 2)
        arguments = self._argument(at, index, call.arguments)
        function = {
            "name": name,
            "arguments": arguments if self.facts.arguments == "object" else _text(arguments),
        }
        return {"id": call_id, "type": "function", "function": function}

    def _answer(self, at: int, line: Line, message: JsonObject) -> None:
        known = self._calls.get(line.call_id or "")
        if known is None:
            message["tool_call_id"] = self._fill(at, "id", line.call_id or "")
            message["name"] = self._fill(at, "name", line.call_name or "")
            self.shape.append("unasked")
            return
        message["tool_call_id"], message["name"], slot = known
        self.answers[slot] = self.answers[slot + 1] = at
        self.shape.append(slot)

    def _argument(self, at: int, index: int, value: object) -> object:
        if isinstance(value, dict):
            hidden = {self.hide(key): item for key, item in value.items()}
            self.shape.append(("{", *hidden))
            return {key: self._argument(at, index, item) for key, item in hidden.items()}
        if isinstance(value, list | tuple):
            self.shape.append(("[", len(value)))
            return [self._argument(at, index, v) for v in value]
        if value is None or isinstance(value, bool) or value == "":
            self.shape.append(repr(value))
            return value
        if isinstance(value, str | int | float):
            self.shape.append(type(value).__name__)
            return self._fill(at, "argument" if isinstance(value, str) else "number", value, index)
        raise TypeError(f"expected JSON in a call's arguments; got {type(value).__name__}")

    def _fill(self, at: int, kind: SlotKind, value: str | float, call: int = -1) -> Any:
        n = len(self.slots)
        self.slots.append(Slot(at, kind, call, value))
        if not self.sentinels:
            return self.hide(value) if isinstance(value, str) else value
        if kind == "number":
            stand_in: str | int | float = fraction(n) if isinstance(value, float) else number(n)
        else:
            stand_in = short_word(n) if kind == "id" else word(n)
        self.texts.append(str(stand_in))
        return stand_in


def _text(arguments: object) -> str:
    return json.dumps(arguments, ensure_ascii=False)
