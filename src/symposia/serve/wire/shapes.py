"""Tools and the shape of the reply, as callers ask for them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta

from .asked import Asked

FunctionName = Annotated[str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_.-]{0,63}$(?!\n)")]


class FunctionTool(Asked, frozen=True, kw_only=True):
    """A function the model may call. `parameters` is a JSON Schema; `strict` is kept where a call is demanded."""

    name: FunctionName
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Tool(Asked, frozen=True, kw_only=True):
    """A tool: functions only."""

    type: Literal["function"]
    function: FunctionTool


class NamedFunction(Asked, frozen=True, kw_only=True):
    """A function by its name."""

    name: FunctionName


class NamedTool(Asked, frozen=True, kw_only=True):
    """Demands a call of this function."""

    type: Literal["function"]
    function: NamedFunction


ToolChoice = Literal["none", "auto", "required"] | NamedTool


class TextFormat(Asked, frozen=True, kw_only=True, tag_field="type", tag="text"):
    """Text of any shape."""


class JsonObjectFormat(Asked, frozen=True, kw_only=True, tag_field="type", tag="json_object"):
    """A JSON object of any shape."""


class JsonSchema(Asked, frozen=True, kw_only=True):
    """A JSON Schema with a name. The reply has this shape whatever `strict` says."""

    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}$(?!\n)")]
    schema: dict[str, Any]
    description: str | None = None
    strict: bool | None = None


class JsonSchemaFormat(Asked, frozen=True, kw_only=True, tag_field="type", tag="json_schema"):
    """JSON of the given shape."""

    json_schema: JsonSchema


ResponseFormat = TextFormat | JsonObjectFormat | JsonSchemaFormat
