"""How deep JSON may lie in JSON where anything may stand: whoever reads it later reads it recursively."""

from __future__ import annotations

from typing import Any

from symposia.serve.faults import Fault

MOST_LEVELS = 100


def refuse_deep(value: dict[str, Any], param: str) -> None:
    """Raise `Fault` for an object of more than `MOST_LEVELS` levels."""
    level: list[Any] = [value]
    for _ in range(MOST_LEVELS):
        level = [
            item
            for each in level
            if isinstance(each, dict | list)
            for item in (each.values() if isinstance(each, dict) else each)
        ]
        if not level:
            return
    raise Fault(
        "invalid_value", f"{param}: expected JSON of at most {MOST_LEVELS} levels; got more", param=param
    )
