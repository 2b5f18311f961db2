"""Whether a JSON Schema is one that providers will hold a model to: every object closed, every property required."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def is_strict(schema: object) -> bool:
    """True if each object in it forbids other properties and requires its own."""
    if isinstance(schema, list):
        return all(map(is_strict, schema))
    if not isinstance(schema, Mapping):
        return True
    if schema.get("type") == "object" or "properties" in schema:
        named: Mapping[str, Any] = schema.get("properties", {})
        closed = schema.get("additionalProperties") is False
        if not closed or set(schema.get("required", ())) != set(named):
            return False
        if not all(map(is_strict, named.values())):
            return False
    inside = (
        value
        for key, value in schema.items()
        if key not in ("properties", "enum", "const", "default", "examples")
    )
    return all(map(is_strict, inside))
