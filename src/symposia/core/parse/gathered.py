"""What a reply has said so far, by phase."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from symposia.core.message import Part, Reasoning, Text, ToolCall
from symposia.core.request import Delta

GAP = "\n\n"


class Gathered:
    """Thoughts, text and calls as they come; together they are the reply's parts."""

    def __init__(self) -> None:
        self._thoughts: list[str] = []
        self._text: list[str] = []
        self.calls: list[ToolCall] = []

    def say(self, text: str, phase: Literal["answer", "reasoning"]) -> Delta:
        """A piece of answer or reasoning."""
        (self._text if phase == "answer" else self._thoughts).append(text)
        return Delta(text=text, phase=phase)

    def call(self, calls: Iterable[ToolCall], shown: str) -> Delta:
        """Calls, and how the model wrote them."""
        self.calls += calls
        return Delta(text=shown, phase="tool")

    def has(self, phase: Literal["answer", "reasoning"]) -> bool:
        """Whether anything was said in that phase."""
        return bool(self._text if phase == "answer" else self._thoughts)

    def parts(self) -> tuple[Part, ...]:
        """Reasoning, text, calls; white space before calls belongs to neither."""
        thought, text = "".join(self._thoughts).strip("\n"), "".join(self._text)
        if self.calls:
            text = text.rstrip()
        parts: list[Part] = [Reasoning(thought)] if thought.strip() else []
        parts += [Text(text)] if text else []
        return (*parts, *self.calls)
