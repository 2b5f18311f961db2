"""A transcript as plain text, Markdown, and OpenAI chat messages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

from .message import Message, Reasoning, Scores, Signal, Text, ToolCall, ToolResult
from .value import canonical


def plain_text(messages: Sequence[Message], form: Literal["plain", "markdown"], *, hidden: bool) -> str:
    """`[i] author: text` a message (Markdown: a bold author and a paragraph)."""
    blocks = []
    for index, message in enumerate(messages):
        body = "\n".join(_lines(message, hidden))
        if not body and not hidden:
            continue
        whisper = f" (to {', '.join(sorted(message.audience))})" if message.audience else ""
        head = (
            f"**{message.author}**{whisper}\n\n"
            if form == "markdown"
            else f"[{index}] {message.author}{whisper}: "
        )
        blocks.append(head + body)
    return ("\n\n" if form == "markdown" else "\n").join(blocks)


def _lines(message: Message, hidden: bool) -> Iterable[str]:
    for part in message.parts:
        match part:
            case Text(text=text):
                yield text
            case Reasoning(text=text) if hidden:
                yield f"(thinks) {text}"
            case ToolCall(name=name, arguments=arguments, error=error) if hidden:
                yield f"(calls) {name} {error or canonical(arguments).decode()}"
            case ToolResult(name=name, text=text, error=error) if hidden:
                yield f"({'error from' if error else 'result of'} {name}) {text}"
            case Signal(name=name, note=note) if hidden:
                yield f"({name}) {note}".rstrip()
            case Scores(choices=choices, logprobs=logprobs) if hidden:
                yield "(scores) " + ", ".join(
                    f"{c!r} {p:.3f}" for c, p in zip(choices, logprobs, strict=True)
                )


def openai_messages(messages: Iterable[Message], name: str) -> list[dict[str, Any]]:
    """Own messages as assistant, `system` as system, tool results as tool, others as user with their name."""
    out: list[dict[str, Any]] = []
    for message in messages:
        results = [part for part in message.parts if isinstance(part, ToolResult)]
        out.extend({"role": "tool", "tool_call_id": r.id, "content": r.text} for r in results)
        calls = [part for part in message.parts if isinstance(part, ToolCall)]
        if calls and message.author == name:
            out.append(
                {
                    "role": "assistant",
                    "content": message.text or None,
                    "tool_calls": [_call(c) for c in calls],
                }
            )
        elif not message.text:
            continue
        elif message.author == "system":
            out.append({"role": "system", "content": message.text})
        elif message.author == name:
            out.append({"role": "assistant", "content": message.text})
        else:
            out.append({"role": "user", "name": message.author, "content": message.text})
    return out


def _call(call: ToolCall) -> dict[str, Any]:
    function = {"name": call.name, "arguments": canonical(call.arguments).decode()}
    return {"id": call.id, "type": "function", "function": function}
