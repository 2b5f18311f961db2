"""The JSON Schema of a scenario file: from the types that read it, and what a file may leave out."""

from __future__ import annotations

from typing import Any

import msgspec

from .form import ScenarioForm

_SPEAKERS = ("RoundRobin", "Rounds", "Moderated")
_JOINED = ("AnyOf", "AllOf")


def scenario_schema() -> dict[str, Any]:
    """JSON Schema 2020-12. `speakers` may be left out (everybody), and the `type` of any/all conditions.

    `where` may be said in words.
    """
    schema = msgspec.json.decode(
        msgspec.json.encode(msgspec.json.schema(ScenarioForm))
    )  # tuples become lists
    parts: dict[str, Any] = schema["$defs"]
    for name in _SPEAKERS:
        _optional(parts[name], "speakers")
    for name in _JOINED:
        _optional(parts[name], "type")
    for part in parts.values():
        _without_discriminators(part)
        properties = part.get("properties", {})
        if "where" in properties:
            properties["where"] = {"anyOf": [{"type": "string"}, properties["where"]]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:symposia:schema:scenario.v1",
        "title": "symposia scenario file, version 1",
        **schema,
    }


def _optional(part: dict[str, Any], field: str) -> None:
    part["required"] = [name for name in part["required"] if name != field]


def _without_discriminators(part: Any) -> None:
    """OpenAPI's `discriminator` is not JSON Schema, and would ask for the `type` that may be left out."""
    if isinstance(part, dict):
        part.pop("discriminator", None)
        for value in part.values():
            _without_discriminators(value)
    elif isinstance(part, list):
        for value in part:
            _without_discriminators(value)
