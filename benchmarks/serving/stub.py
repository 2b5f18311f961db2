"""`python stub.py PORT`: a chat-completions upstream that costs next to nothing. Standard library and uvloop.

A reply is there at once. A stream has as many pieces as `max_tokens` says, each a write of its own, and no two in a row
alike: gateways end streams that repeat themselves. They come one after the other; the model `paced` says one every
`PACE_S`, and `hang` one, then nothing.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import uvloop

PACE_S = 0.01
WORD = "word "
_HEAD = {"id": "chatcmpl-1", "created": 1_790_000_000, "model": "tiny"}


def _http(kind: str, body: bytes) -> bytes:
    return f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body


def _chunk(value: object) -> bytes:
    data = b"data: " + (b"[DONE]" if value is None else json.dumps(value).encode()) + b"\n\n"
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def _delta(delta: dict[str, str], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
    return _chunk({**_HEAD, "object": "chat.completion.chunk", "choices": [choice], "usage": None})


_USAGE = {"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18}
_MESSAGE = {"role": "assistant", "content": WORD * 9}
WHOLE = _http(
    "application/json",
    json.dumps(
        {
            **_HEAD,
            "object": "chat.completion",
            "choices": [{"index": 0, "message": _MESSAGE, "finish_reason": "stop", "logprobs": None}],
            "usage": _USAGE,
        }
    ).encode(),
)
MODELS = _http(
    "application/json",
    json.dumps(
        {
            "object": "list",
            "data": [
                {"id": name, "object": "model", "created": 1, "owned_by": "stub"}
                for name in ("tiny", "paced", "hang")
            ],
        }
    ).encode(),
)
OPEN = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n" + _delta(
    {"role": "assistant", "content": ""}
)
PIECES = [_delta({"content": f"{WORD.strip()}{i} "}) for i in range(97)]
END = (
    _delta({}, "stop")
    + _chunk({**_HEAD, "object": "chat.completion.chunk", "choices": [], "usage": _USAGE})
    + _chunk(None)
    + b"0\r\n\r\n"
)


class Stub(asyncio.Protocol):
    """One connection, kept alive; requests come one after another."""

    def __init__(self) -> None:
        self._held = b""
        self._transport: Any = None  # uvloop's are no asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._held += data
        while (end := self._held.find(b"\r\n\r\n")) >= 0:
            head = self._held[:end].lower()
            at = head.find(b"content-length:")
            length = 0 if at < 0 else int(head[at + 15 :].split(b"\r\n", 1)[0])
            if len(self._held) < end + 4 + length:
                return
            body, self._held = self._held[end + 4 : end + 4 + length], self._held[end + 4 + length :]
            self._answer(head, body)

    def _answer(self, head: bytes, body: bytes) -> None:
        if head.startswith(b"get"):
            self._transport.write(MODELS)
            return
        asked = json.loads(body)
        if not asked.get("stream"):
            self._transport.write(WHOLE)
            return
        self._transport.write(OPEN + PIECES[0])
        if asked["model"] != "hang":
            pace = PACE_S if asked["model"] == "paced" else 0.0
            self._later(asked.get("max_completion_tokens") or asked["max_tokens"], pace)

    def _later(self, left: int, pace: float) -> None:
        if self._transport.is_closing():
            return
        if left <= 1:
            self._transport.write(END)
            return
        asyncio.get_running_loop().call_later(pace, self._piece, left - 1, pace)

    def _piece(self, left: int, pace: float) -> None:
        self._transport.write(PIECES[left % len(PIECES)])
        self._later(left, pace)


async def main(port: int) -> None:
    """Serve until killed."""
    server = await asyncio.get_running_loop().create_server(Stub, "127.0.0.1", port, backlog=2048)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
