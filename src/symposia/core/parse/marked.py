"""Calls after a mark, to the end of the reply: `[TOOL_CALLS]` and a JSON list, or names with arguments."""

from __future__ import annotations

import re

from symposia.core.message import ToolCall

from .forms import Taken
from .jsoncalls import UNREADABLE, call_with, calls_of, first_value, malformed, unfinished

MARK = "[TOOL_CALLS]"
_NAMED = re.compile(r"\s*([^\s\[\]{}\"]+?)\s*(?:\[CALL_ID\]\s*([A-Za-z0-9_-]*)\s*)?(\[ARGS\]\s*)?(?=\{|\Z)")


class MarkedList:
    """`[TOOL_CALLS][{"name", "arguments", "id"}]`."""

    opening = MARK

    def begins(self, head: str, *, final: bool) -> bool | None:
        """Never: calls have a mark."""
        return False

    def take(self, text: str, index: int, *, final: bool) -> Taken | None:
        """The list, once the reply is whole; what follows it is text."""
        if not final:
            return None
        start = at = len(MARK) + _blank(text, len(MARK))
        try:
            value, at = first_value(text, start)
        except UNREADABLE as error:
            call = malformed(index, "a JSON list of calls", text[start:], why=str(error))
            return Taken((call,), len(text), text[start:].strip())
        if not isinstance(value, list) or not value:
            call = malformed(index, "a JSON list of calls", text[start:at])
            return Taken((call,), at, text[start:at])
        return Taken(calls_of(value, index), at + _blank(text, at), text[start:at])


class MarkedNames:
    """`[TOOL_CALLS]NAME[CALL_ID]ID[ARGS]{…}`, repeated; id and argument mark may be missing."""

    opening = MARK

    def begins(self, head: str, *, final: bool) -> bool | None:
        """Never: calls have a mark."""
        return False

    def take(self, text: str, index: int, *, final: bool) -> Taken | None:
        """One call, once the reply is whole."""
        if not final:
            return None
        start = len(MARK)
        call, at = _named(text, start, index)
        return Taken((call,), at + _blank(text, at), text[start:at].strip())


def _named(text: str, start: int, index: int) -> tuple[ToolCall, int]:
    found = _NAMED.match(text, start)
    next_mark = text.find(MARK, start)
    end = len(text) if next_mark < 0 else next_mark
    if found is None:
        return malformed(index, "NAME[ARGS]{arguments}", text[start:end]), end
    if found.end() >= len(text):
        return unfinished(index, "[ARGS]{arguments}", name=found[1]), len(text)
    try:
        arguments, at = first_value(text, found.end())
    except UNREADABLE as error:
        return malformed(
            index, "a JSON object of arguments", text[found.end() : end], why=str(error), name=found[1]
        ), end
    return call_with(found[1], arguments, index, given_id=found[2] or ""), at


def _blank(text: str, at: int) -> int:
    return len(text[at:]) - len(text[at:].lstrip())
