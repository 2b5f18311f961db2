"""What a strict server refuses with 400: conversations whose tool calls and results do not belong together. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .reply import Received

Spoken = Mapping[str, Any]


def complaint(asked: Received) -> str | None:
    """Why a strict server refuses this request; None if it does not."""
    messages = asked.body.get("messages") or ()
    if not messages:
        return "messages: at least one message is required"
    tools = {tool.get("function", tool).get("name") for tool in asked.body.get("tools") or ()}
    choice = asked.body.get("tool_choice")
    if isinstance(choice, Mapping):
        name = choice.get("name") or choice.get("function", {}).get("name")
        if name and name not in tools:
            return f"tool_choice: {name!r} is not one of the tools"
    return _anthropic(messages) if asked.dialect == "anthropic" else _openai(messages)


def _openai(messages: Sequence[Spoken]) -> str | None:
    open_calls: list[str] = []
    for index, message in enumerate(messages):
        if message.get("role") == "tool":
            if message.get("tool_call_id") not in open_calls:
                return (
                    f"messages[{index}]: a tool message must answer a call of the assistant message before it"
                )
            open_calls.remove(message["tool_call_id"])
            continue
        if open_calls:
            break
        open_calls = [call["id"] for call in message.get("tool_calls") or ()]
        if len(set(open_calls)) != len(open_calls):
            return f"messages[{index}]: tool call ids must be unique"
    if open_calls:
        return (
            "an assistant message with tool_calls must be followed by a tool message for each of its ids; "
            f"without an answer: {', '.join(open_calls)}"
        )
    return None


def _anthropic(messages: Sequence[Spoken]) -> str | None:
    if messages[0].get("role") != "user":
        return "messages[0]: the first message must be the user's"
    open_calls: set[str] = set()
    for index, message in enumerate(messages):
        if index and message.get("role") == messages[index - 1].get("role"):
            return f"messages[{index}]: roles must alternate"
        answered = {block["tool_use_id"] for block in _blocks(message, "tool_result")}
        if open_calls - answered:
            break
        if answered - open_calls:
            return f"messages[{index}]: a tool_result must answer a tool_use of the message before it"
        open_calls = {block["id"] for block in _blocks(message, "tool_use")}
    if open_calls:
        return f"tool_use ids without a tool_result right after them: {', '.join(sorted(open_calls))}"
    return None


def _blocks(message: Spoken, kind: str) -> Iterable[Spoken]:
    content = message.get("content")
    return (
        [] if isinstance(content, str) or content is None else [b for b in content if b.get("type") == kind]
    )
