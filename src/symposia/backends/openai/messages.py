"""Lines as chat messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symposia.backends.toolnames import ToolNames
from symposia.core.lines import Line
from symposia.core.message import ToolCall
from symposia.core.value import canonical

from .thoughts import sent_back

Json = dict[str, Any]


def messages(lines: Sequence[Line], names: ToolNames) -> list[Json]:
    """One message a line; the lines already have the shape the server accepts."""
    return [_message(line, names) for line in lines]


def _message(line: Line, names: ToolNames) -> Json:
    match line.role:
        case "tool":
            return {"role": "tool", "tool_call_id": line.call_id or "", "content": line.text}
        case "assistant":
            return _own(line, names)
        case role:
            return {"role": role, "content": line.text}


def _own(line: Line, names: ToolNames) -> Json:
    message: Json = {"role": "assistant", "content": line.text}
    if line.calls:
        message["content"] = line.text or None
        message["tool_calls"] = [_call(call, names) for call in line.calls]
    return message | sent_back(line.reasoning)


def _call(call: ToolCall, names: ToolNames) -> Json:
    function = {"name": names.sent(call.name), "arguments": canonical(call.arguments).decode()}
    return {"id": call.id, "type": "function", "function": function}
