"""Calls that are the whole reply: JSON objects, or a Python list of calls. A reply is held while it may be one."""

from __future__ import annotations

import re

from symposia.core.message import ToolCall

from .codecalls import is_code, read_code
from .forms import Taken
from .jsoncalls import UNREADABLE, call_of, first_value, malformed

PYTHON_TAG = "<|python_tag|>"
_ENDS = ("<|eom_id|>", "<|eot_id|>")
_SEPARATOR = re.compile(r"[\s;,]*")
_KEYS = ("name", "type", "function", "id", "parameters", "arguments")
_NAMED = re.compile(r'\s*\{\s*("type"\s*:\s*"function"\s*,\s*)?"name"\s*:')
_LIST = re.compile(r"\s*\[\s*[A-Za-z_][\w.]*\s*\(\s*(?:\)|[A-Za-z_]\w*\s*=)")
_LIST_MAYBE = re.compile(r"\s*(?:\[\s*(?:[A-Za-z_][\w.]*\s*(?:\(\s*(?:[A-Za-z_]\w*\s*)?)?)?)?")


class WholeJson:
    """`{"name", "parameters"}`, several with `;` between; after a python tag also behind text.

    An object that does not say what it calls is text.
    """

    opening = PYTHON_TAG

    def begins(self, head: str, *, final: bool) -> bool | None:
        """Whether it is an object whose first key is one that calls have."""
        rest = head.lstrip()
        if not rest.startswith("{"):
            return None if not rest and not final else False
        rest = rest[1:].lstrip()
        for key in _KEYS:
            quoted = f'"{key}"'
            if rest.startswith(quoted):
                return True
            if quoted.startswith(rest) and not final:
                return None
        return False

    def take(self, text: str, index: int, *, final: bool) -> Taken | None:
        """The objects at the beginning, once the reply is whole."""
        if not final:
            return None
        tagged = text.startswith(PYTHON_TAG)
        start = at = len(PYTHON_TAG) if tagged else 0
        calls: list[ToolCall] = []
        while (found := _object(text, at, index + len(calls))) is not None:
            calls.append(found[0])
            at = _separated(text, found[1])
        if not calls:
            if not (tagged or _is_cut(text)):
                return Taken((), len(text), "")
            calls, at = [malformed(index, "JSON with name and parameters", text[start:])], len(text)
        return Taken(tuple(calls), at, text[start:at].strip())


class WholeList:
    """`[f(a=1), g()]`; after a python tag also behind text."""

    opening = PYTHON_TAG

    def begins(self, head: str, *, final: bool) -> bool | None:
        """Whether it is a list whose first element is a call without arguments or with a named one."""
        if _LIST.match(head):
            return True
        return None if _LIST_MAYBE.fullmatch(head) and not final else False

    def take(self, text: str, index: int, *, final: bool) -> Taken | None:
        """The list, once the reply is whole; what follows its last bracket is text."""
        if not final:
            return None
        start = len(PYTHON_TAG) if text.startswith(PYTHON_TAG) else 0
        end = _without_ends(text)
        bracket = text.rfind("]", start, end) + 1
        if bracket and not is_code(text[start:end]) and is_code(text[start:bracket]):
            end = bracket
        return Taken(read_code(text[start:end], index), _separated(text, end), text[start:end].strip())


def _object(text: str, at: int, index: int) -> tuple[ToolCall, int] | None:
    """The call that begins at or after white space at `at`, and where it ends."""
    at += len(text[at:]) - len(text[at:].lstrip())
    if not text.startswith("{", at):
        return None
    try:
        value, end = first_value(text, at)
    except UNREADABLE:
        return None
    if not isinstance(value, dict) or not isinstance(value.get("name"), str):
        return None
    return call_of(value, index), end


def _is_cut(text: str) -> bool:
    """Whether a reply that holds no readable call was meant as one: it names what it calls, and then breaks."""
    if not _NAMED.match(text):
        return False
    try:
        first_value(text, len(text) - len(text.lstrip()))
    except UNREADABLE:
        return True
    return False


def _separated(text: str, at: int) -> int:
    """Where the next thing begins: separators and marks of the turn's end say nothing."""
    while True:
        found = _SEPARATOR.match(text, at)
        at = found.end() if found else at
        mark = next((end for end in _ENDS if text.startswith(end, at)), None)
        if mark is None:
            return at
        at += len(mark)


def _without_ends(text: str) -> int:
    end = len(text.rstrip())
    for mark in _ENDS:
        if text.endswith(mark, 0, end):
            end -= len(mark)
    return end
