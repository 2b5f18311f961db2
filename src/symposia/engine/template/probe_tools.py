"""Whether and how a template lists tools, writes calls and shows results."""

from __future__ import annotations

import json
import re
from typing import Any, Literal

import msgspec

from symposia.core.message import ToolCall
from symposia.core.parse import SUPPORTED, parse
from symposia.core.request import Syntax
from symposia.core.toolspec import ToolSpec

from .asked import (
    A1,
    ABOUT,
    ID,
    ID2,
    KEY,
    KEY2,
    NAME,
    NAME2,
    RESULT,
    RESULT2,
    S1,
    U1,
    U2,
    VALUE,
    VALUE2,
    Asked,
    Message,
    between,
    in_order,
)
from .facts import ArgumentMarks, Marks
from .probe_marks import assistant_head, generation_prompt

_SCHEMA = {"type": "object", "properties": {KEY: {"type": "string", "description": KEY}}, "required": [KEY]}
TOOL = {"type": "function", "function": {"name": NAME, "description": ABOUT, "parameters": _SCHEMA}}
_ODD = f'{RESULT}"\n{RESULT2}'
_SPEC = ToolSpec(name=NAME, description=ABOUT, parameters=_SCHEMA)
TAG = r"(?:<[^<>\s]+>|\[[^\[\]\s]+\])"
Answers = dict[str, Any]
NONE: Answers = {"tools": "none", "calls": "none", "results": "lost", "syntax": "prompted"}


def call(name: str = NAME, value: str = VALUE, call_id: str = ID, *, as_text: bool = False) -> Message:
    """A call in the form chat templates read."""
    return _called(name, {KEY: value}, call_id, as_text=as_text)


def probe_tools(asked: Asked, marks: Marks) -> tuple[Answers, Marks]:
    """Facts about tools, and the marks around calls and results."""
    listed = _listed(asked)
    for arguments in ("object", "text"):
        text = _loop(asked, [call(as_text=arguments == "text")])
        if text is not None and in_order(text, U1, VALUE, RESULT) and NAME in text:
            break
    else:
        return NONE | {"tools": "listed" if listed else "none", "results": _unasked_result(asked)}, marks
    as_text = arguments == "text"
    answers: Answers = {
        "tools": "listed" if listed else "none",
        "arguments": arguments,
        "calls": _calls(asked, as_text),
        "call_text": _call_text(asked, as_text),
        "call_ids": "any"
        if _loop(asked, [call(call_id="call_bcdf-ghjk")], call_id="call_bcdf-ghjk")
        else "alnum9",
        "results": _results(asked, as_text),
        "user_after_result": _user_after_result(asked, as_text),
    }
    call_end = _call_end(asked, text, marks, as_text)
    syntax = _syntax(_written(asked, text, marks, call_end))
    if not listed or syntax is None or answers["results"] == "lost":
        return answers | {"syntax": "prompted"}, marks
    ended = asked.said(
        [asked.user(U1), asked.own("", tool_calls=[call(as_text=as_text)]), asked.result(RESULT)],
        generation=False,
    )
    marks = msgspec.structs.replace(
        marks,
        call_open=_call_open(asked, text, marks),
        call_close=_call_close(text, marks),
        call_end=call_end,
        tool_end=_tool_end(ended) if ended and RESULT in ended else "",
    )
    form = _call_form(text, marks)
    named = _call_arguments(asked, marks, as_text) if form is None else None
    marks = msgspec.structs.replace(marks, call_form=form, call_arguments=named)
    return answers | {"syntax": syntax}, marks


def _loop(
    asked: Asked, calls: list[Message], text: str = "", call_id: str = ID, result: str = RESULT
) -> str | None:
    lines = [asked.user(U1), asked.own(text, tool_calls=calls), asked.result(result, call_id)]
    return asked.said(lines, tools=(TOOL,))


def _listed(asked: Asked) -> bool:
    heads = ([asked.user(U1)], [asked.system(S1), asked.user(U1)])
    return any(ABOUT in (asked.said(head, tools=(TOOL,)) or "") for head in heads)


def _calls(asked: Asked, as_text: bool) -> Literal["many", "one"]:
    calls = [call(as_text=as_text), call(NAME2, VALUE2, ID2, as_text=as_text)]
    lines = [
        asked.user(U1),
        asked.own("", tool_calls=calls),
        asked.result(RESULT),
        asked.result(RESULT2, ID2, NAME2),
    ]
    text = asked.said(lines, tools=(TOOL,))
    shown = text is not None and NAME2 in text and in_order(text, VALUE, VALUE2, RESULT, RESULT2)
    return "many" if shown else "one"


def _call_text(asked: Asked, as_text: bool) -> Literal["kept", "dropped"]:
    text = _loop(asked, [call(as_text=as_text)], A1)
    return "kept" if text is not None and text.count(A1) == 1 else "dropped"


def _results(asked: Asked, as_text: bool) -> Literal["raw", "escaped", "lost"]:
    return _form(_loop(asked, [call(as_text=as_text)], result=_ODD))


def _user_after_result(asked: Asked, as_text: bool) -> bool:
    lines = [
        asked.user(U1),
        asked.own("", tool_calls=[call(as_text=as_text)]),
        asked.result(RESULT),
        asked.user(U2),
    ]
    return in_order(asked.said(lines, tools=(TOOL,)), U1, VALUE, RESULT, U2)


def _unasked_result(asked: Asked) -> Literal["raw", "escaped", "lost"]:
    return _form(asked.said([asked.user(U1), asked.own(A1), asked.result(_ODD)]))


def _form(text: str | None) -> Literal["raw", "escaped", "lost"]:
    if text is None:
        return "lost"
    if _ODD in text:
        return "raw"
    return "escaped" if json.dumps(_ODD)[1:-1] in text else "lost"


def _syntax(reply: str) -> Syntax | None:
    """The syntax whose parser reads the call back out of what the model would have written."""
    for syntax in SUPPORTED:
        parts = parse(reply, syntax, tools=(_SPEC,))
        calls = [(p.name, p.arguments, p.error) for p in parts if isinstance(p, ToolCall)]
        if calls == [(NAME, {KEY: VALUE}, "")]:
            return syntax
    return None


def _written(asked: Asked, text: str, marks: Marks, call_end: str) -> str:
    """What the model wrote in its turn: the call, between what asks for a reply and what ends one."""
    said = between(text, U1, RESULT)
    reply = _after_head(asked, said, marks)
    call, value, rest = (said if reply is None else reply).partition(VALUE)
    return call + value + (rest.partition(call_end)[0] if call_end else rest)


def _tool_end(text: str) -> str:
    after = text[text.index(RESULT) + len(RESULT) :]
    return after.rpartition(ID)[2]  # an id said after the result is content


def _call_open(asked: Asked, text: str, marks: Marks) -> str:
    return _after_head(asked, between(text, U1, NAME), marks) or ""


def _after_head(asked: Asked, literal: str, marks: Marks) -> str | None:
    """What follows the head of an assistant's line, which begins the literal."""
    literal = literal.removeprefix(marks.user_end)
    for head in (generation_prompt(asked, marks.user_end), assistant_head(asked, marks.user_end)):
        if literal.startswith(head):
            return literal.removeprefix(head)
    return None


def _call_close(text: str, marks: Marks) -> str:
    literal = between(text, VALUE, RESULT)
    end = literal.find(marks.assistant_end) if marks.assistant_end else -1
    closing = re.search(rf"({TAG}|```)\s*$", literal[:end] if end >= 0 else "")
    return closing[1] if closing else ""


def _call_end(asked: Asked, text: str, marks: Marks, as_text: bool) -> str:
    literal = between(text, VALUE, RESULT)
    if marks.assistant_end and marks.assistant_end in literal:
        return marks.assistant_end
    lines = [asked.user(U1), asked.own("", tool_calls=[call(as_text=as_text)])]
    closed = asked.said(lines, generation=False, tools=(TOOL,)) or ""
    last = re.search(rf"({TAG}\s*)$", closed.partition(VALUE)[2])
    return last[1] if last and last[1] in literal else ""


def _call_form(text: str, marks: Marks) -> tuple[str, str, str] | None:
    """The literals of a single call, if its arguments are JSON and its end is known."""
    arguments = rf'\{{\s*"{KEY}":\s*"{VALUE}"\s*\}}'
    said = between(text, U1, RESULT).partition(NAME)[2]
    found = re.match(rf"(.*?){arguments}(.*)", said, re.DOTALL)
    if found is None or not marks.call_end or marks.call_end not in found[2]:
        return None
    return marks.call_open, found[1], found[2].partition(marks.call_end)[0]


def _call_arguments(asked: Asked, marks: Marks, as_text: bool) -> ArgumentMarks | None:
    """The literals around named arguments, if calls with two and with none are written alike."""
    two = {KEY: VALUE, KEY2: VALUE2}
    texts = [
        _loop(asked, [_called(NAME, arguments, as_text=as_text)])
        for arguments in (two, {KEY: VALUE}, {KEY2: VALUE2}, {})
    ]
    if not marks.call_end or any(text is None or not in_order(text, U1, RESULT) for text in texts):
        return None
    both, one, other, none = (
        between(text or "", U1, RESULT).partition(NAME)[2].partition(marks.call_end)[0] for text in texts
    )
    if not in_order(both, KEY, VALUE, KEY2, VALUE2):
        return None
    first, equals, then = both.partition(KEY)[0], between(both, KEY, VALUE), between(both, VALUE, KEY2)
    last = both.partition(VALUE2)[2]
    alike = (
        both == f"{first}{KEY}{equals}{VALUE}{then}{KEY2}{equals}{VALUE2}{last}"
        and one == f"{first}{KEY}{equals}{VALUE}{last}"
        and other == f"{first}{KEY2}{equals}{VALUE2}{last}"
    )
    if not alike:
        return None
    quoted = equals.endswith('"') and then.startswith('"') and last.startswith('"')
    if quoted:
        equals, then, last = equals.removesuffix('"'), then.removeprefix('"'), last.removeprefix('"')
    return ArgumentMarks(first=first, equals=equals, then=then, last=last, none=none, quoted=quoted)


def _called(name: str, arguments: dict[str, str], call_id: str = ID, *, as_text: bool) -> Message:
    function = {"name": name, "arguments": json.dumps(arguments) if as_text else arguments}
    return {"id": call_id, "type": "function", "function": function}
