"""Calls as they arrive: a name once, arguments as JSON in pieces."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec

from symposia.core.message import ToolCall

from .toolnames import ToolNames


@dataclass(slots=True)
class CallPieces:
    """One call being received."""

    id: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list)

    def whole(self, number: int, names: ToolNames) -> ToolCall:
        """The call; what cannot be read of it is its `error`."""
        id_, name = self.id or f"call_{number}", names.ours(self.name)
        if not name:
            return ToolCall(id=id_, name="", error="the call names no tool")
        raw = "".join(self.arguments)
        try:
            return ToolCall(id=id_, name=name, arguments=_object(raw))
        except (msgspec.MsgspecError, RecursionError) as error:
            return ToolCall(
                id=id_, name=name, error=f"expected a JSON object as arguments; got {raw[:200]!r} ({error})"
            )


def _object(raw: str) -> dict[str, Any]:
    if not raw.strip():
        return {}
    value = msgspec.json.decode(raw)
    if isinstance(value, str):  # some servers encode them twice
        value = msgspec.json.decode(value)
    if not isinstance(value, dict):
        raise msgspec.ValidationError(f"it is a {type(value).__name__}")
    return value
