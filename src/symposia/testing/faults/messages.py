"""A reply as the Anthropic messages protocol sends it: whole, or as the events of a stream."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from .reply import Received, Reply, pieces

_STOPS = {
    "stop": "end_turn",
    "stop_string": "stop_sequence",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
    "refusal": "refusal",
}
_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
}
_TYPES |= {413: "request_too_large", 429: "rate_limit_error", 529: "overloaded_error"}
SIGNATURE = "c2lnbmVkIGJ5IHRoZSBmYWtl"
"""The signature every thinking block of the fake ends with."""


CHATTER = b': keep-alive\n\nevent: ping\ndata: {"type": "ping"}\n\n'
"""What belongs to no answer: a comment and a ping."""


def event(data: dict[str, Any]) -> bytes:
    """One server-sent event, named by its type."""
    return f"event: {data['type']}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n".encode()


DONE = event({"type": "message_stop"})


def error(status: int | None, *, message: str, kind: str, code: str) -> dict[str, Any]:
    """The error object: this protocol has types and no codes."""
    named = kind or code or _TYPES.get(status or 500, "api_error")
    return {"type": "error", "error": {"type": named, "message": message}}


def unfinished(body: dict[str, Any]) -> dict[str, Any]:
    """A whole body without its reason to finish."""
    return body | {"stop_reason": None}


def whole(reply: Reply, asked: Received) -> dict[str, Any]:
    """The body of a reply that is not streamed."""
    blocks = [block | last for block, _, last in _blocks(reply)]
    return {**_head(asked), "content": blocks, **_stop(reply), "usage": {**_input(reply), **_output(reply)}}


def stream(reply: Reply, asked: Received, *, usage: bool = True) -> Iterator[bytes]:
    """The events, from `message_start` to `message_stop`."""
    begun = {**_input(reply), "output_tokens": 1} if usage else {"input_tokens": 0, "output_tokens": 0}
    unfinished: dict[str, Any] = {"content": [], "stop_reason": None, "stop_sequence": None, "usage": begun}
    yield event({"type": "message_start", "message": {**_head(asked), **unfinished}})
    yield event({"type": "ping"})
    for index, (block, deltas, _) in enumerate(_blocks(reply)):
        yield event({"type": "content_block_start", "index": index, "content_block": block})
        for delta in deltas:
            yield event({"type": "content_block_delta", "index": index, "delta": delta})
        yield event({"type": "content_block_stop", "index": index})
    yield event({"type": "message_delta", "delta": _stop(reply), "usage": _output(reply) if usage else {}})
    yield DONE


def is_delta(raw: bytes) -> bool:
    """Whether an event carries something said."""
    return raw.startswith(b"event: content_block_delta")


def _blocks(reply: Reply) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]], dict[str, Any]]]:
    """Each block as it begins, its deltas, and what it has in the end."""
    if reply.reasoning:
        deltas = [{"type": "thinking_delta", "thinking": piece} for piece in pieces(reply.reasoning)]
        deltas.append({"type": "signature_delta", "signature": SIGNATURE})
        yield (
            {"type": "thinking", "thinking": "", "signature": ""},
            deltas,
            {"thinking": reply.reasoning, "signature": SIGNATURE},
        )
    if reply.text:
        deltas = [{"type": "text_delta", "text": piece} for piece in pieces(reply.text)]
        yield {"type": "text", "text": ""}, deltas, {"text": reply.text}
    for call in reply.calls:
        half = len(call.json) // 2
        deltas = [
            {"type": "input_json_delta", "partial_json": part}
            for part in (call.json[:half], call.json[half:])
        ]
        block = {"type": "tool_use", "id": call.id, "name": call.name, "input": {}}
        yield block, deltas, {"input": call.arguments}


def _head(asked: Received) -> dict[str, Any]:
    model = asked.body.get("model", "")
    return {"id": f"msg_{asked.number}", "type": "message", "role": "assistant", "model": model}


def _stop(reply: Reply) -> dict[str, Any]:
    return {"stop_reason": _STOPS[reply.finish or "stop"], "stop_sequence": reply.matched}


def _input(reply: Reply) -> dict[str, int]:
    used = reply.used
    return {
        "input_tokens": used.prompt - used.cached,
        "cache_read_input_tokens": used.cached,
        "cache_creation_input_tokens": 0,
    }


def _output(reply: Reply) -> dict[str, int]:
    return {"output_tokens": reply.used.completion}
