"""Messages of the wire as lines of a request: whose words they are, of which turn, in which phase.

A profile's system text comes first, then the caller's own; later system messages stand where they stood. Nothing is
added and nothing reordered: what a template needs beyond that is its own rules' business.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from symposia.core.lines import Line, Segment, markup
from symposia.core.message import Reasoning, ToolCall

from .faults import Fault
from .wire import (
    AssistantMessage,
    ChatMessage,
    DeveloperMessage,
    SystemMessage,
    ToolMessage,
    UserMessage,
    text_of,
)

SPEAKER = "assistant"
"""Who answers, unless an assistant message of the conversation has a name."""

_BLANK = markup("\n\n")


def lines_of(messages: Sequence[ChatMessage], system: str | None) -> tuple[Line, ...]:
    """The lines of a conversation under a profile's system text. Raises `Fault` 400 for a call that cannot be read."""
    head = 0
    while head < len(messages) and isinstance(messages[head], SystemMessage | DeveloperMessage):
        head += 1
    lines = _system(messages[:head], system)
    names: dict[str, str] = {}
    current = _last_user(messages)
    for index in range(head, len(messages)):
        message = messages[index]
        if isinstance(message, UserMessage):
            own = Segment(
                text=text_of(message.content), phase="prompt", author=message.name or "user", turn=index
            )
            lines.append(Line(role="user", segments=(own,), kind="turn"))
        elif isinstance(message, AssistantMessage):
            lines.append(_assistant(message, index, names, thinks=index > current))
        elif isinstance(message, ToolMessage):
            lines.append(_tool(message, index, names))
        else:
            given = _segment(message, index)
            lines.append(Line(role="system", segments=(given,), kind="framing"))
    return tuple(lines)


def speaker_of(messages: Sequence[ChatMessage]) -> str:
    """Whose turn it is: the name the assistant last had, so that its earlier turns are known as its own."""
    for message in reversed(messages):
        if isinstance(message, AssistantMessage) and message.name:
            return message.name
    return SPEAKER


def _system(messages: Sequence[ChatMessage], system: str | None) -> list[Line]:
    segments = [_segment(message, index) for index, message in enumerate(messages)]
    if system:
        segments.insert(0, Segment(text=system, phase="prompt", author="system"))
    if not segments and system is None:
        return []
    joined = [part for segment in segments for part in (_BLANK, segment)][1:]
    return [Line(role="system", segments=tuple(joined), kind="framing")]


def _segment(message: ChatMessage, index: int) -> Segment:
    return Segment(text=text_of(message.content), phase="prompt", author="system", turn=index)


def _assistant(message: AssistantMessage, index: int, names: dict[str, str], *, thinks: bool) -> Line:
    author = message.name or SPEAKER
    text = text_of(message.content) + (message.refusal or "")
    own = Segment(text=text, phase="answer", author=author, turn=index)
    if not message.tool_calls:
        return Line(role="assistant", segments=(own,), kind="turn")
    calls = []
    for place, sent in enumerate(message.tool_calls):
        names[sent.id] = sent.function.name
        path = f"messages[{index}].tool_calls[{place}].function.arguments"
        arguments = _arguments(sent.function.arguments, path)
        calls.append(ToolCall(id=sent.id, name=sent.function.name, arguments=arguments))
    thought = message.reasoning_content if thinks else None
    reasoning = (Reasoning(thought),) if thought else ()
    return Line(role="assistant", segments=(own,), kind="trail", calls=tuple(calls), reasoning=reasoning)


def _tool(message: ToolMessage, index: int, names: dict[str, str]) -> Line:
    returned = Segment(text=text_of(message.content), phase="tool", author="tool", turn=index)
    name = message.name or names.get(message.tool_call_id)
    return Line(
        role="tool", segments=(returned,), kind="trail", call_id=message.tool_call_id, call_name=name
    )


def _last_user(messages: Sequence[ChatMessage]) -> int:
    """Where the current turn begins; reasoning from there on is still the model's own."""
    return max((i for i, message in enumerate(messages) if isinstance(message, UserMessage)), default=-1)


def _arguments(text: str, path: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = msgspec.json.decode(text or "{}", type=dict[str, Any])
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise Fault(
            "invalid_value", f"{path}: expected the text of a JSON object; got {text[:60]!r}", param=path
        ) from None
    return found
