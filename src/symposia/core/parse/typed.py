"""Values that are written as text: what a tool's JSON Schema says they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from .codecalls import UNREADABLE as NO_LITERAL
from .codecalls import literal
from .jsoncalls import UNREADABLE, decoded


def typed(text: str, schema: object, root: object) -> object:
    """The value a schema says the text is; the text itself where it is none of these."""
    allowed = set(kinds(schema, root))
    if "string" not in allowed:
        for kind, read in _READERS:
            if kind in allowed:
                try:
                    return read(text.strip())
                except (*UNREADABLE, *NO_LITERAL):
                    continue
    elif "null" in allowed and text in ("null", "None"):
        return None
    return text


def kinds(schema: object, root: object, depth: int = 0) -> Iterator[str]:
    """The JSON types a schema allows, as far as it says."""
    if not isinstance(schema, dict) or depth > 8:
        return
    said = schema.get("type")
    yield from (kind for kind in (_listed(said) or [said]) if isinstance(kind, str))
    values = _listed(schema.get("enum")) + ([schema["const"]] if "const" in schema else [])
    yield from (_KIND.get(type(value), "string") for value in values)
    for word in ("anyOf", "oneOf", "allOf"):
        for option in _listed(schema.get(word)):
            yield from kinds(option, root, depth + 1)
    if isinstance(place := schema.get("$ref"), str):
        yield from kinds(referred(place, root), root, depth + 1)


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def referred(place: str, root: Any) -> object:
    """What a reference within a schema refers to."""
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
