"""What a constrained reply may be, as a grammar in llguidance's form of Lark: thinking if any, then the shape.

Thinking comes before the answer and is free text: it must be closed where the prompt opened it, and may come where the
model is the one to open it and was not told `thinking="off"`. A call is in the template's own words, its arguments JSON
or each by its name.
"""

from __future__ import annotations

import json
from typing import NamedTuple

from symposia.core.request import Request
from symposia.core.toolspec import ToolSpec

from .arguments import NamedArguments
from .asked import ID
from .codec import Codec
from .facts import TemplateFacts
from .prompted import CALL_FORM
from .schema import arguments_of, written
from .tracker import Delimiters

_GAP = r"/\n{0,2}/"  # what templates write between thinking and answer
_CALL_ID = "/[a-zA-Z0-9]{9}/"


class ReplyGrammar(NamedTuple):
    """`lark`: all the text of the reply. `ends`: the ids that may end it once it is whole."""

    lark: str
    ends: frozenset[int]


class ReplyForms:
    """One template's ways to write JSON and a call."""

    def __init__(self, facts: TemplateFacts, delimiters: Delimiters, codec: Codec) -> None:
        self._facts, self._delimiters, self._codec = facts, delimiters, codec
        self._call = facts.marks.call_form if facts.native_tools else CALL_FORM

    @property
    def forces(self) -> bool:
        """Whether a call can be demanded: how its arguments are written was seen."""
        return self._call is not None or self._facts.marks.call_arguments is not None

    @property
    def call_tokens(self) -> tuple[int, ...]:
        """The control token that begins a call, if one does."""
        opening = self._facts.marks.call_open if self._facts.native_tools else CALL_FORM[0]
        return tuple(control for _, control in self._codec.cuts(opening.lstrip())[:1] if control is not None)

    def grammar(self, request: Request, ends: frozenset[int], *, opens_thinking: bool) -> ReplyGrammar:
        """Of a request with `force` or `schema`. `ends` are all ids that end a turn."""
        thinking = self._thinking(request, opened=opens_thinking)
        if request.force is not None:
            said, rules = self._demanded(request, request.force)
        else:
            said = f"{self._said(self._facts.marks.answer_open if self._delimiters.header else '')} json"
            rules = f"json: %json {written(request.schema or {})}\n"
        lark = f"start: {thinking} {said}\n{rules}"
        if thinking:
            lark += self._thought()
        return ReplyGrammar(lark, self._closers(ends, calls=request.force is not None))

    def _demanded(self, request: Request, tool: ToolSpec) -> tuple[str, str]:
        """The words of a call, and the rules they need."""
        if self._call is not None:
            before, middle, after = self._call
            words = (self._said(before + tool.name + middle), "json", self._said(after))
            return " ".join(filter(None, words)), f"json: %json {written(arguments_of(tool))}\n"
        marks = self._facts.marks
        assert marks.call_arguments is not None
        arguments = NamedArguments(request, tool, marks.call_arguments, self._said)
        return f"{self._said(marks.call_open + tool.name)} first0", arguments.lark()

    def closing(self, *, tools: bool) -> tuple[int, ...]:
        """The ids that end thinking; in channels, what leads to the answer too, or to a choice if there are `tools`.

        Empty where the template shows no thinking.
        """
        marks = self._facts.marks
        if marks.think is None:
            return ()
        text = marks.think[1]
        if self._delimiters.header:
            text += marks.reply_head + ("" if tools else marks.answer_open)
        ids: list[int] = []
        for part, control in self._codec.cuts(text):
            ids += self._codec.plain(part, first=False).ids if control is None else (control,)
        return tuple(ids)

    def _thinking(self, request: Request, *, opened: bool) -> str:
        pair = self._delimiters.think
        if pair is None:
            return ""
        gap = self._said(self._facts.marks.reply_head) if self._delimiters.header else _GAP
        if opened:
            return f"thought {gap}"
        own = self._facts.marks.think is not None and not self._facts.opens_thinking
        if own and request.sampling.thinking != "off":
            return f"({self._said(pair[0])} thought {gap})?"
        return ""

    def _thought(self) -> str:
        assert self._delimiters.think is not None
        close = self._delimiters.think[1]
        if all(control is not None for _, control in self._codec.cuts(close)):
            return f"thought: THOUGHT {self._said(close)}\nTHOUGHT: /(?s:.*)/\n"
        return f"thought[suffix={json.dumps(close)}]: /(?s:.*)/\n"

    def _closers(self, ends: frozenset[int], *, calls: bool) -> frozenset[int]:
        """In channels a call ends by a token of its own."""
        if not self._delimiters.header:
            return ends
        closing = {control for _, control in self._codec.cuts(self._facts.marks.call_end)[:1]}
        own = frozenset(end for end in ends if end in closing)
        return own if calls and own else ends - own

    def _said(self, literal: str) -> str:
        """Literal text as terminals: control tokens by id, the place of a call's id by its pattern."""
        words: list[str] = []
        for text, control in self._codec.cuts(literal):
            if control is not None:
                words.append(f"<[{control}]>")
                continue
            for i, part in enumerate(text.split(ID)):
                words += [_CALL_ID] if i else []
                words += [json.dumps(part, ensure_ascii=False)] if part else []
        return " ".join(words)
