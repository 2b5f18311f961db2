"""Which tools a model is told of, and what shape its reply must have."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any, Literal

import msgspec

from symposia.core.toolspec import ToolSpec
from symposia.serve.faults import Fault

from .chat import ChatRequest
from .depth import refuse_deep
from .shapes import JsonObjectFormat, JsonSchemaFormat, NamedTool, ResponseFormat, Tool

_NOTHING: dict[str, Any] = {"type": "object", "properties": {}}
_OBJECT: dict[str, Any] = {"type": "object"}


class Shape(msgspec.Struct, frozen=True):
    """Tools, whether they may be called, the one that must be, and the JSON Schema of the reply."""

    tools: tuple[ToolSpec, ...] = ()
    choice: Literal["auto", "none"] = "auto"
    force: ToolSpec | None = None
    schema: dict[str, Any] | None = None


_ANY = Shape()


def shape_of(ask: ChatRequest, given: tuple[ToolSpec, ...]) -> Shape:
    """What the caller wants of the reply. `given` are the profile's tools, which come first.

    Raises `Fault` for a name that stands twice, a demanded tool that is not there, a choice that cannot be demanded,
    a call and a shape at once, and JSON that lies too deep.
    """
    if ask.tools is None and ask.tool_choice is None and ask.response_format is None and not given:
        return _ANY
    tools = (*given, *_specs(ask.tools or (), given))
    force, schema = _forced(ask, tools), _schema(ask.response_format)
    if force is not None and schema is not None:
        raise _refused("response_format", "'text' beside a demanded tool call", "a shape for the text")
    return Shape(tools, "none" if ask.tool_choice == "none" else "auto", force, schema)


def _specs(tools: Sequence[Tool], given: tuple[ToolSpec, ...]) -> list[ToolSpec]:
    names = {tool.name for tool in given}
    specs = []
    for at, tool in enumerate(tools):
        function = tool.function
        if function.name in names:
            raise _refused(
                f"tools[{at}].function.name",
                "a name no other tool has, nor one of the profile's",
                function.name,
            )
        names.add(function.name)
        parameters = _NOTHING if function.parameters is None else function.parameters
        refuse_deep(parameters, f"tools[{at}].function.parameters")
        specs.append(
            ToolSpec(name=function.name, description=function.description or "", parameters=parameters)
        )
    return specs


def _forced(ask: ChatRequest, tools: tuple[ToolSpec, ...]) -> ToolSpec | None:
    choice = ask.tool_choice
    if choice == "required":
        if len(tools) > 1:
            message = f"tool_choice: expected one named function where there are {len(tools)}; got 'required'"
            raise Fault("unsupported_parameter", message, param="tool_choice")
        if not tools:
            raise _refused("tool_choice", "'none' or 'auto' where there are no tools", "'required'")
        return tools[0]
    if not isinstance(choice, NamedTool):
        return None
    name, names = choice.function.name, [tool.name for tool in tools]
    if name not in names:
        near = get_close_matches(name, names, n=1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        known = ", ".join(names) or "no tools"
        raise _refused("tool_choice.function.name", f"one of: {known}", f"{name!r}{hint}")
    return tools[names.index(name)]


def _schema(form: ResponseFormat | None) -> dict[str, Any] | None:
    match form:
        case JsonSchemaFormat(json_schema=wanted):
            refuse_deep(wanted.schema, "response_format.json_schema.schema")
            return wanted.schema
        case JsonObjectFormat():
            return _OBJECT
        case _:
            return None


def _refused(param: str, expected: str, got: str) -> Fault:
    return Fault("invalid_value", f"{param}: expected {expected}; got {got}", param=param)
