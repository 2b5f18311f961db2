"""From a function's signature to what its calls look like: one struct gives the JSON Schema and reads the arguments."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, get_type_hints

import msgspec

from symposia.core.errors import InvalidInput

_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_KINDS = {
    inspect.Parameter.VAR_POSITIONAL: "*",
    inspect.Parameter.VAR_KEYWORD: "**",
    inspect.Parameter.POSITIONAL_ONLY: "positional-only ",
}


def arguments_type(function: Callable[..., Any], name: str) -> type[msgspec.Struct]:
    """The struct whose fields are the function's parameters, unknown ones forbidden.

    `InvalidInput` for a parameter without annotation, `*args`, `**kwargs`, and types that have no JSON Schema.
    """
    hints = _hints(function, name)
    fields: list[tuple[str, Any] | tuple[str, Any, Any]] = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind not in _NAMED:
            raise InvalidInput(
                f"tool {name}: a model calls by name; got {_KINDS[parameter.kind]}{parameter.name}; "
                "write each parameter out"
            )
        if parameter.name not in hints:
            raise InvalidInput(
                f"tool {name}: parameter {parameter.name!r} has no annotation; annotate it: "
                f"{parameter.name}: int"
            )
        field = (parameter.name, hints[parameter.name])
        fields.append(field if parameter.default is inspect.Parameter.empty else (*field, parameter.default))
    try:
        return msgspec.defstruct(name, fields, kw_only=True, forbid_unknown_fields=True)
    except (TypeError, ValueError, NameError) as error:
        raise InvalidInput(f"tool {name}: {error}") from error


def parameters_of(arguments: type[msgspec.Struct], name: str) -> dict[str, Any]:
    """The JSON Schema of such a struct, in one piece: no references, no title of its own."""
    try:
        (schema,), parts = msgspec.json.schema_components((arguments,))
    except (TypeError, ValueError, NameError) as error:
        raise InvalidInput(f"tool {name}: {error}; use types that JSON can hold") from error
    whole = _inlined(schema, parts, (), name)
    whole.pop("title", None)
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(whole))  # tuples become lists
    return plain


def in_words(parameters: Mapping[str, Any]) -> str:
    """The arguments a schema asks for, for an error message: `{"a": integer, "b": integer (may be left out)}`."""
    required = parameters.get("required", ())
    fields = (
        f'"{name}": {_kind(schema)}{"" if name in required else " (may be left out)"}'
        for name, schema in parameters.get("properties", {}).items()
    )
    return "{" + ", ".join(fields) + "}"


def _kind(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return "one of " + ", ".join(msgspec.json.encode(v).decode() for v in schema["enum"])
    if "anyOf" in schema:
        return " or ".join(_kind(each) for each in schema["anyOf"])
    kind = schema.get("type", "any value")
    return kind if isinstance(kind, str) else " or ".join(kind)


def _hints(function: Callable[..., Any], name: str) -> dict[str, Any]:
    annotated = function if inspect.isroutine(function) else type(function).__call__
    try:
        return get_type_hints(annotated, include_extras=True)
    except (NameError, TypeError) as error:
        raise InvalidInput(
            f"tool {name}: its annotations cannot be read ({error}); use names that its module defines"
        ) from error


def _inlined(schema: Any, parts: Mapping[str, Any], inside: tuple[str, ...], name: str) -> Any:
    if isinstance(schema, list | tuple):
        return [_inlined(each, parts, inside, name) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        part = str(schema["$ref"]).rpartition("/")[2]
        if part in inside:
            raise InvalidInput(f"tool {name}: {part} contains itself; a tool's arguments are finite")
        beside = {key: value for key, value in schema.items() if key != "$ref"}
        return {**_inlined(parts[part], parts, (*inside, part), name), **beside}
    return {
        key: _inlined(value, parts, inside, name) for key, value in schema.items() if key != "discriminator"
    }
