"""JSON Schema as a grammar takes it: the order of properties, and how JSON is written.

JSON is written as `json.dumps` writes it, `, ` and `: ` between and no other white space, so that no reply is lost in
blanks. Properties come in the order of `required`, then by name: a request is named by its content, in which the order
of an object's keys does not count.
"""

from __future__ import annotations

import json
from typing import Any

from symposia.core.errors import InvalidInput
from symposia.core.toolspec import ToolSpec

JSON_FORM = {"x-guidance": {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}}
_MAPS = frozenset({"properties", "patternProperties", "$defs", "definitions"})  # schemas by name
_VALUES = frozenset({"enum", "const", "default", "examples", "required"})  # not schemas


def written(schema: dict[str, Any]) -> str:
    """The schema for the grammar."""
    return json.dumps(in_order(schema) | JSON_FORM, ensure_ascii=False)


def arguments_of(tool: ToolSpec) -> dict[str, Any]:
    """The schema of a call's arguments, which are an object. Raises `InvalidInput` where they are said not to be."""
    schema = {"type": "object", **tool.parameters}
    if schema["type"] != "object":
        raise InvalidInput(
            f"tool {tool.name!r}: expected parameters of type 'object'; got {schema['type']!r}; "
            "put the value under a property"
        )
    return schema


def in_order(schema: Any) -> Any:
    """The same schema with the properties of every object in the order of its `required`, then by name."""
    if isinstance(schema, list):
        return [in_order(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    made: dict[str, Any] = {}
    for key, value in schema.items():
        if key in _MAPS and isinstance(value, dict):
            made[key] = {name: in_order(value[name]) for name in sorted(value)}
        else:
            made[key] = value if key in _VALUES else in_order(value)
    properties, required = made.get("properties"), made.get("required")
    if isinstance(properties, dict) and isinstance(required, list):
        first = [name for name in required if isinstance(name, str) and name in properties]
        made["properties"] = {name: properties[name] for name in dict.fromkeys([*first, *properties])}
    return made
