"""A reply as the chat-completions protocol sends it: whole, or as the events of a stream."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from .reply import Call, Received, Reply, pieces

DONE = b"data: [DONE]\n\n"
CHATTER = (
    b": keep-alive\n\n"
    b"event: heartbeat\ndata: still here\n\n"
    b'data: {"id": "chatcmpl-0", "object": "chat.completion.chunk", "choices": []}\n\n'
)
"""What belongs to no answer: a comment, an event of another kind, a chunk without choices."""

_SAID = re.compile(rb'"(?:content|refusal|reasoning|reasoning_content|arguments)": "[^"]')
LOGPROB = -0.125
"""What every token of the fake is worth, in nats; exact in binary."""


def event(data: object) -> bytes:
    """One server-sent event."""
    return b"data: " + json.dumps(data, ensure_ascii=False).encode() + b"\n\n"


def error(status: int | None, *, message: str, kind: str, code: str) -> dict[str, Any]:
    """The error object."""
    del status
    return {"error": {"message": message, "type": kind or "error", "param": None, "code": code or None}}


def unfinished(body: dict[str, Any]) -> dict[str, Any]:
    """A whole body without its reason to finish."""
    return body | {"choices": [choice | {"finish_reason": None} for choice in body["choices"]]}


def whole(reply: Reply, asked: Received, *, reasoning_field: str) -> dict[str, Any]:
    """The body of a reply that is not streamed."""
    message: dict[str, Any] = {"role": "assistant", "content": reply.text or None}
    if reply.reasoning:
        message[reasoning_field] = reply.reasoning
    if reply.finish == "refusal":
        message |= {"refusal": reply.text, "content": None}
    if reply.calls:
        message["tool_calls"] = [_call(call) for call in reply.calls]
    choice = {"index": 0, "message": message, "finish_reason": _finish(reply)}
    if asked.body.get("logprobs"):
        choice["logprobs"] = {"content": [_logprob(piece, asked) for piece in pieces(reply.text)]}
    return {**_head(asked, "chat.completion"), "choices": [choice], "usage": _usage(reply)}


def stream(reply: Reply, asked: Received, *, reasoning_field: str, usage: bool = True) -> Iterator[bytes]:
    """The events: role, reasoning, text, calls, the finish, the usage where asked for, and `[DONE]`."""

    def chunk(delta: dict[str, Any], finish: str | None = None, logprobs: object = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": logprobs}
        return event({**_head(asked, "chat.completion.chunk"), "choices": [choice]})

    yield chunk({"role": "assistant", "content": ""})
    for piece in pieces(reply.reasoning):
        yield chunk({reasoning_field: piece})
    field = "refusal" if reply.finish == "refusal" else "content"
    for piece in pieces(reply.text):
        yield chunk({field: piece}, logprobs=_logprobs(piece, asked))
    for index, call in enumerate(reply.calls):
        begun = _call(call) | {"index": index}
        begun["function"]["arguments"] = ""
        yield chunk({"tool_calls": [begun]})
        half = len(call.json) // 2
        for part in (call.json[:half], call.json[half:]):
            yield chunk({"tool_calls": [{"index": index, "function": {"arguments": part}}]})
    yield chunk({}, finish=_finish(reply))
    if usage and (asked.body.get("stream_options") or {}).get("include_usage"):
        yield event({**_head(asked, "chat.completion.chunk"), "choices": [], "usage": _usage(reply)})
    yield DONE


def is_delta(raw: bytes) -> bool:
    """Whether an event carries something said."""
    return _SAID.search(raw) is not None


def _head(asked: Received, kind: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{asked.number}",
        "object": kind,
        "created": 1_750_000_000,
        "model": asked.body.get("model", ""),
    }


def _call(call: Call) -> dict[str, Any]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.json}}


def _finish(reply: Reply) -> str:
    return {"stop_string": "stop", "refusal": "stop"}.get(reply.finish or "stop", reply.finish or "stop")


def _usage(reply: Reply) -> dict[str, Any]:
    used = reply.used
    return {
        "prompt_tokens": used.prompt,
        "completion_tokens": used.completion,
        "total_tokens": used.prompt + used.completion,
        "prompt_tokens_details": {"cached_tokens": used.cached},
        "completion_tokens_details": {"reasoning_tokens": used.reasoning},
    }


def _logprobs(piece: str, asked: Received) -> dict[str, Any] | None:
    return {"content": [_logprob(piece, asked)]} if asked.body.get("logprobs") else None


def _logprob(piece: str, asked: Received) -> dict[str, Any]:
    chosen = {"token": piece, "logprob": LOGPROB, "bytes": list(piece.encode())}
    others = [
        {"token": f"other{n}", "logprob": LOGPROB * 2 * n, "bytes": list(f"other{n}".encode())}
        for n in range(1, asked.body.get("top_logprobs") or 0)
    ]
    return {**chosen, "top_logprobs": [chosen, *others] if asked.body.get("top_logprobs") else []}
