"""A tool as a model is told of it."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta

from .value import Value


class ToolSpec(Value, frozen=True, kw_only=True):
    """A tool as the model is told of it; `parameters` is a JSON Schema object."""

    name: Annotated[str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_.-]{0,63}$(?!\n)")]
    description: str
    parameters: dict[str, Any]
