"""Lines as messages of content blocks: one list a role, results first, thinking back as it came."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from symposia.backends.toolnames import ToolNames
from symposia.backends.wire import Json
from symposia.core.lines import Line
from symposia.core.message import Reasoning


class Kept(msgspec.Struct, frozen=True, tag_field="of", tag="messages", omit_defaults=True):
    """What `Reasoning.opaque` holds for this protocol: a thinking block's signature, or a redacted block's data."""

    type: Literal["thinking", "redacted_thinking"] = "thinking"
    signature: str = ""
    data: str = ""


def messages(lines: Sequence[Line], names: ToolNames) -> tuple[str, list[Json]]:
    """The system text, and messages in which the roles alternate. The lines alternate already, results apart."""
    system = lines[0].text if lines and lines[0].role == "system" else ""
    turns: list[Json] = []
    for line in lines:
        if line.role == "system":
            continue
        role = "assistant" if line.role == "assistant" else "user"
        blocks = _blocks(line, names)
        if not blocks:  # an empty message is refused
            continue
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        else:
            turns.append({"role": role, "content": blocks})
    return system, turns


def _blocks(line: Line, names: ToolNames) -> list[Json]:
    if line.role == "tool":
        return [{"type": "tool_result", "tool_use_id": line.call_id or "", "content": line.text}]
    text = line.text.rstrip() if line.role == "assistant" else line.text
    blocks = [block for thought in line.reasoning if (block := _thinking(thought))]
    blocks += [{"type": "text", "text": text}] if text.strip() else []
    blocks += [
        {"type": "tool_use", "id": call.id, "name": names.sent(call.name), "input": call.arguments}
        for call in line.calls
    ]
    return blocks


def _thinking(thought: Reasoning) -> dict[str, Any] | None:
    kept = _kept(thought.opaque)
    if kept is None:
        return None
    if kept.type == "redacted_thinking":
        return {"type": "redacted_thinking", "data": kept.data}
    return {"type": "thinking", "thinking": thought.text, "signature": kept.signature}


def _kept(opaque: str | None) -> Kept | None:
    try:
        return None if opaque is None else msgspec.json.decode(opaque, type=Kept)
    except msgspec.MsgspecError:  # another protocol's
        return None
