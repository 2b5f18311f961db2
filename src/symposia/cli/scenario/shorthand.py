"""What a scenario file may leave out, filled in before it is read: speakers, and the type of any/all."""

from __future__ import annotations

from typing import Any

_JOINED = ("any", "all")


def spelled_out(data: Any) -> Any:
    """The file's data with `speakers` (all participants, in order) and the type of `any:`/`all:` conditions written."""
    if not isinstance(data, dict):
        return data
    made = dict(data)
    protocol, people = data.get("protocol"), data.get("participants")
    if isinstance(protocol, dict) and isinstance(people, dict):
        made["protocol"] = _with_speakers(protocol, list(people))
    if "until" in data:
        made["until"] = _typed(data["until"])
    return made


def _with_speakers(protocol: dict[str, Any], names: list[str]) -> dict[str, Any]:
    if "speakers" in protocol or protocol.get("type") not in ("round_robin", "rounds", "moderated"):
        return protocol
    return {**protocol, "speakers": [name for name in names if name != protocol.get("moderator")]}


def _typed(condition: Any) -> Any:
    if not isinstance(condition, dict):
        return condition
    joined = next((word for word in _JOINED if word in condition), None)
    if joined is None or not isinstance(condition[joined], list):
        return condition
    typed = {"type": joined, **condition}
    typed[joined] = [_typed(inner) for inner in condition[joined]]
    return typed
