"""A value of a JSON schema, for those who must answer and have nothing to say. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def example(schema: Mapping[str, Any]) -> Any:
    """The plainest value a JSON schema allows: first of an enum, every property, empty text."""
    if "enum" in schema or "const" in schema:
        return schema.get("const", (schema.get("enum") or [None])[0])
    if choices := schema.get("anyOf") or schema.get("oneOf"):
        return example(choices[0])
    kind = schema.get("type", "object")
    match kind[0] if isinstance(kind, list) else kind:
        case "object":
            return {name: example(form) for name, form in schema.get("properties", {}).items()}
        case "array":
            return [example(schema.get("items", {})) for _ in range(schema.get("minItems", 1))]
        case "string":
            return "text".ljust(schema.get("minLength", 0), "t")
        case "integer" | "number":
            return schema.get("minimum", 1)
        case "boolean":
            return True
    return None
