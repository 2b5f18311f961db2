"""`python benchmarks/upstream.py`: a chat-completions endpoint on loopback that answers at once. Standard library only.

`reply` alone is the same endpoint inside a process. Replies are functions of the request: a forced tool is called with
no consensus, or with the first label offered; any other request gets a paragraph, the marker, and an answer of its own.
"""

from __future__ import annotations

import asyncio
import json
import zlib
from collections.abc import Iterator
from typing import Any

PARAGRAPH = (
    "The material gives the departure and the arrival, and what lies between follows step by step. " * 5
)
DIRECTION = (
    "They differ in the final number: one counts the stop, another does not. Please re-examine that step."
)


def reply(asked: dict[str, Any]) -> dict[str, Any]:
    """The answer to a chat-completions request, whole."""
    message, finish = _message(asked), "stop"
    if "tool_calls" in message:
        finish = "tool_calls"
    words = len(json.dumps(asked["messages"]).split())
    usage = {
        "prompt_tokens": words,
        "completion_tokens": 80,
        "total_tokens": words + 80,
    }
    choice = {"index": 0, "message": message, "finish_reason": finish, "logprobs": None}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_750_000_000,
        "model": asked["model"],
        "choices": [choice],
        "usage": usage,
    }


def chunks(whole: dict[str, Any]) -> Iterator[bytes]:
    """The same answer as server-sent events: role, everything, finish, usage."""
    (choice,) = whole["choices"]
    message = choice["message"]
    calls = [{"index": i, **call} for i, call in enumerate(message.get("tool_calls", ()))]
    said = {"tool_calls": calls} if calls else {"content": message["content"]}
    head = {**whole, "object": "chat.completion.chunk"}
    for delta, finish in (({"role": "assistant"}, None), (said, None), ({}, choice["finish_reason"])):
        piece = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
        yield _event({**head, "choices": [piece], "usage": None})
    yield _event({**head, "choices": []})
    yield b"data: [DONE]\n\n"


def body(asked: dict[str, Any]) -> tuple[str, bytes]:
    """Media type and bytes of the answer, streamed or whole as asked."""
    whole = reply(asked)
    if asked.get("stream"):
        return "text/event-stream", b"".join(chunks(whole))
    return "application/json", json.dumps(whole).encode()


def _event(value: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def _message(asked: dict[str, Any]) -> dict[str, Any]:
    forced = _forced(asked)
    if forced is None:
        mine = zlib.crc32(json.dumps(asked["messages"]).encode())
        return {"role": "assistant", "content": f"{PARAGRAPH}\n[[ANSWER]] {mine}"}
    fields = forced["parameters"]["properties"]
    if "consensus" in fields:
        arguments: dict[str, Any] = {"consensus": False, "direction": DIRECTION}
    else:
        arguments = {name: field["enum"][0] for name, field in fields.items()}
    call = {"id": "call_1", "type": "function"}
    call["function"] = {"name": forced["name"], "arguments": json.dumps(arguments)}
    return {"role": "assistant", "content": None, "tool_calls": [call]}


def _forced(asked: dict[str, Any]) -> dict[str, Any] | None:
    choice = asked.get("tool_choice")
    if choice in (None, "none", "auto"):
        return None
    return asked["tools"][0]["function"]


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One connection, kept alive until the client leaves."""
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(
                int(line.partition(b":")[2])
                for line in head.split(b"\r\n")
                if line.lower().startswith(b"content-length:")
            )
            kind, answer = body(json.loads(await reader.readexactly(length)))
            writer.write(
                f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {len(answer)}\r\n\r\n".encode()
                + answer
            )
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionResetError):
        writer.close()


async def main() -> None:
    """Serve until killed; the first line of standard output is the base URL."""
    server = await asyncio.start_server(_serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    print(f"http://{host}:{port}/v1", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
