"""Calls written as `<function=NAME><parameter=KEY>VALUE</parameter></function>`; the schema says what a value is."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from symposia.core.message import ToolCall
from symposia.core.toolspec import ToolSpec

from .codecalls import UNREADABLE as NO_LITERAL
from .codecalls import literal
from .jsoncalls import UNREADABLE, call_with, decoded, malformed

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


def typed(text: str, schema: object, root: object) -> object:
    """The value a schema says the text is; the text itself where it is none of these."""
    kinds = set(_kinds(schema, root))
    if "string" not in kinds:
        for kind, read in _READERS:
            if kind in kinds:
                try:
                    return read(text.strip())
                except (*UNREADABLE, *NO_LITERAL):
                    continue
    elif "null" in kinds and text in ("null", "None"):
        return None
    return text


def _unframed(text: str) -> str:
    """Without the line breaks that stand around a value."""
    return text.removeprefix("\n").removesuffix("\n")


def _property(schema: object, key: str) -> object:
    properties = schema.get("properties") if isinstance(schema, dict) else None
    return properties.get(key) if isinstance(properties, dict) else None


def _kinds(schema: object, root: object, depth: int = 0) -> Iterator[str]:
    """The JSON types a schema allows, as far as it says."""
    if not isinstance(schema, dict) or depth > 8:
        return
    said = schema.get("type")
    yield from (kind for kind in (_listed(said) or [said]) if isinstance(kind, str))
    values = _listed(schema.get("enum")) + ([schema["const"]] if "const" in schema else [])
    yield from (_KIND.get(type(value), "string") for value in values)
    for word in ("anyOf", "oneOf", "allOf"):
        for option in _listed(schema.get(word)):
            yield from _kinds(option, root, depth + 1)
    if isinstance(place := schema.get("$ref"), str):
        yield from _kinds(_referred(place, root), root, depth + 1)


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _referred(place: str, root: Any) -> object:
    for step in place.removeprefix("#/").split("/"):
        root = root.get(step) if isinstance(root, dict) else None
    return root


def _null(text: str) -> None:
    if text not in ("null", "None", ""):
        raise ValueError(text)


def _boolean(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError(text)
    return text.lower() == "true"


def _number(text: str) -> object:
    value = decoded(text)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(text)
    return value


def _integer(text: str) -> object:
    value = _number(text)
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _structure(text: str) -> object:
    try:
        return decoded(text)
    except UNREADABLE:
        return literal(text)


_KIND: dict[type, str] = {
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    type(None): "null",
    dict: "object",
    list: "array",
}
_READERS: tuple[tuple[str, Callable[[str], object]], ...] = (
    ("null", _null),
    ("boolean", _boolean),
    ("integer", _integer),
    ("number", _number),
    ("object", _structure),
    ("array", _structure),
)
