"""How a template is asked: small conversations in, text out, and whether it shows every word once and in order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from symposia.core.errors import TemplateError
from symposia.core.profile import Thinking

from .jinja import JinjaTemplate, Refused
from .sentinels import short_word, word

Message = dict[str, Any]
S1, S2, U1, U2, U3, A1, A2 = (word(i) for i in range(7))
NAME, NAME2, KEY, VALUE, VALUE2, RESULT, RESULT2, ABOUT, THOUGHT = (word(i) for i in range(10, 19))
KEY2 = word(19)
ID, ID2 = short_word(0), short_word(1)


class Asked:
    """A template with the ways of asking it: which content form it takes, and whether it ever read the clock."""

    def __init__(self, template: JinjaTemplate) -> None:
        self.template = template
        self.dated = False
        self.content: Literal["text", "parts"] = "text"
        if not self.shows([self.user(U1)], U1):
            self.content = "parts"
            if not self.shows([self.user(U1)], U1):
                self._refuse()

    def user(self, text: str) -> Message:
        """A user line in the form this template takes."""
        return {"role": "user", "content": self.form(text)}

    def own(self, text: str, **more: object) -> Message:
        """An assistant line."""
        return {"role": "assistant", "content": self.form(text), **more}

    def system(self, text: str) -> Message:
        """A system line."""
        return {"role": "system", "content": self.form(text)}

    def result(self, text: str, call: str = ID, name: str = NAME) -> Message:
        """A tool line."""
        return {"role": "tool", "content": self.form(text), "tool_call_id": call, "name": name}

    def form(self, text: str) -> str | list[Message]:
        """Content as text or as a list of one text part."""
        return text if self.content == "text" else [{"type": "text", "text": text}]

    def said(
        self,
        messages: list[Message],
        *,
        generation: bool = True,
        flags: Mapping[str, object] | None = None,
        tools: tuple[Message, ...] = (),
    ) -> str | None:
        """What came out, or None if the template refused."""
        try:
            return self.template.render(
                messages, generation=generation, flags=flags, tools=tools, clock_read=self._clock_read
            )
        except Refused:
            return None

    def shows(self, messages: list[Message], *words: str) -> bool:
        """Whether every word stands in the rendering exactly once and in this order."""
        return in_order(self.said(messages), *words)

    def _clock_read(self) -> None:
        self.dated = True

    def _refuse(self) -> None:
        try:
            text = self.template.render([self.user(U1)])
        except Refused as refused:
            raise TemplateError(
                f"the chat template refuses a single user line ({refused}); repair it or pass another template"
            ) from refused
        raise TemplateError(
            f"the chat template shows a single user line {text.count(U1)} times, expected once; "
            "repair it or pass another template"
        )


def in_order(text: str | None, *words: str) -> bool:
    """Whether each word stands in the text exactly once and in this order."""
    if text is None or any(text.count(w) != 1 for w in words):
        return False
    at = [text.index(w) for w in words]
    return at == sorted(at)


def between(text: str, left: str, right: str) -> str:
    """What stands between two words that both stand in the text."""
    start = text.index(left) + len(left)
    return text[start : text.index(right, start)]


def flags_of(mode: Thinking) -> dict[str, object]:
    """The template variables that ask for a thinking mode."""
    if mode == "auto":
        return {}
    return {"enable_thinking": mode == "on"} if mode in ("on", "off") else {"reasoning_effort": mode}
