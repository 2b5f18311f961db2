"""Calls written as `<function=NAME><parameter=KEY>VALUE</parameter></function>`; the schema says what a value is."""

from __future__ import annotations

import re
from collections.abc import Sequence

from symposia.core.message import ToolCall
from symposia.core.toolspec import ToolSpec

from .jsoncalls import call_with, malformed
from .typed import typed

_EXPECTED = "<function=NAME> with <parameter=KEY>VALUE</parameter>"
_FUNCTION = re.compile(r"\s*<function=([^>\n]+)>")
_PARAMETER = re.compile(r"\s*<parameter=([^>\n]+)>(.*?)(?:</parameter>\s*|(?=<parameter=)|\Z)", re.DOTALL)


def read_xml(body: str, index: int, tools: Sequence[ToolSpec]) -> ToolCall:
    """The call that is all of `body`. A value stays text where the tool's schema does not say what it is."""
    function = _FUNCTION.match(body)
    if function is None:
        return malformed(index, _EXPECTED, body)
    name, rest = function[1].strip(), body[function.end() :].rstrip().removesuffix("</function>")
    schema = next((tool.parameters for tool in tools if tool.name == name), {})
    arguments: dict[str, object] = {}
    at = 0
    while found := _PARAMETER.match(rest, at):
        key = found[1].strip()
        arguments[key] = typed(_unframed(found[2]), _property(schema, key), schema)
        at = found.end()
    if rest[at:].strip():
        return malformed(index, _EXPECTED, body, why="text between parameters", name=name)
    return call_with(name, arguments, index)


def _unframed(text: str) -> str:
    """Without the line breaks that stand around a value."""
    return text.removeprefix("\n").removesuffix("\n")


def _property(schema: object, key: str) -> object:
    properties = schema.get("properties") if isinstance(schema, dict) else None
    return properties.get(key) if isinstance(properties, dict) else None
