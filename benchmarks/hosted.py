"""`python benchmarks/hosted.py [--json]`: what a call of a hosted model costs here, beside the SDK alone.

CPU time of this process. The server is in-process (an HTTP transport that answers from memory), so that its work is not
counted as ours; the last row is over loopback, server included.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "src"))
sys.path.insert(0, str(Path(__file__).parent))

import httpx2
import openai
from text_column import Row, at_most, machine, told

from symposia.backends import OpenAIEndpoint
from symposia.backends.hosts import Hosts
from symposia.backends.openai.wire import ChatWire
from symposia.core.request import Request
from symposia.testing.backends import plain_request
from symposia.testing.faults import FaultyUpstream

FEW, MANY, CALLS, TIMES = 1, 401, 100, 7
URL = "http://127.0.0.1/v1"


def events(deltas: int) -> list[bytes]:
    """A reply of so many deltas, as a server sends it."""
    head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    said = [
        {**head, "choices": [{"index": 0, "delta": {"content": "word "}, "finish_reason": None}]}
    ] * deltas
    end = [{**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}]
    used = [{**head, "choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": deltas}}]
    return [b"data: " + json.dumps(one).encode() + b"\n\n" for one in said + end + used] + [
        b"data: [DONE]\n\n"
    ]


class Memory(httpx2.AsyncBaseTransport):
    """Answers every request with the same events, one piece each."""

    def __init__(self, deltas: int) -> None:
        self._events = events(deltas)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """The reply."""
        del request
        return httpx2.Response(
            200, headers={"content-type": "text/event-stream"}, stream=_Pieces(self._events)
        )


class _Pieces(httpx2.AsyncByteStream):
    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece


async def cpu_ms(call: Callable[[], Awaitable[None]], calls: int = CALLS) -> float:
    """CPU milliseconds a call: the smallest of several runs."""
    await call()
    best = float("inf")
    for _ in range(TIMES):
        began = time.process_time()
        for _ in range(calls):
            await call()
        best = min(best, (time.process_time() - began) / calls * 1000)
    return best


def request() -> Request:
    """A short question."""
    return plain_request("up:m", 512)


async def ours(deltas: int) -> float:
    """A call through the backend."""
    backend = Hosts({}, transport=Memory(deltas)).backend("up", OpenAIEndpoint(base_url=URL, key="none"))
    asked = request()

    async def call() -> None:
        async for _ in backend.generate(asked):
            pass

    cost = await cpu_ms(call)
    await backend.aclose()
    return cost


async def theirs(deltas: int, *, typed: bool) -> float:
    """The same request through the SDK alone: its bytes, or its typed chunks."""
    client = openai.AsyncOpenAI(
        api_key="k", base_url=URL, max_retries=0, http_client=httpx2.AsyncClient(transport=Memory(deltas))
    )
    asked = request()
    body: dict[str, Any] = ChatWire("up", OpenAIEndpoint(base_url=URL)).body(asked)

    async def chunks() -> None:
        async for _ in await client.chat.completions.create(**body):
            pass

    async def raw() -> None:
        response = await client.post(
            "/chat/completions",
            body=body,
            cast_to=httpx2.Response,
            stream=True,
            stream_cls=openai.AsyncStream[object],
        )
        async for _ in response.aiter_bytes():
            pass
        await response.aclose()

    cost = await cpu_ms(chunks if typed else raw)
    await client.close()
    return cost


async def loopback() -> float:
    """A call over a real connection, the server in this process."""
    async with FaultyUpstream(replies=["word"]) as server:
        endpoint = OpenAIEndpoint(base_url=server.base_url, key="none")
        backend = Hosts({}).backend("up", endpoint)
        asked = request()

        async def call() -> None:
            async for _ in backend.generate(asked):
                pass

        cost = await cpu_ms(call, 50)
        await backend.aclose()
        return cost


async def rows() -> list[Row]:
    """Every row."""
    few, many = await ours(FEW), await ours(MANY)
    sdk_few, sdk_many = await theirs(FEW, typed=False), await theirs(MANY, typed=False)
    typed_few, typed_many = await theirs(FEW, typed=True), await theirs(MANY, typed=True)
    span = (MANY - FEW) / 1000
    return [
        at_most("a call, the SDK's path included", few, 0.6, "ms", "one delta, in-process transport"),
        at_most(
            "a call beyond the SDK's own `post`", few - sdk_few, 0.4, "ms", f"that alone: {sdk_few:.2f} ms"
        ),
        at_most("a delta beyond the SDK's own bytes", (many - few - sdk_many + sdk_few) / span, 30, "us"),
        Row("a delta, everything", (many - few) / span, "us", "-", None),
        Row(
            "a delta, the SDK's typed chunks",
            (typed_many - typed_few) / span,
            "us",
            "-",
            None,
            "not used here",
        ),
        Row("a call, the SDK's typed chunks", typed_few, "ms", "-", None, "likewise"),
        Row("a call over loopback, server included", await loopback(), "ms", "-", None),
    ]


def main() -> int:
    """Prints the table; 1 if a bar is missed."""
    return told(__doc__, lambda: asyncio.run(rows()), f"{machine()}; openai {openai.__version__}")


if __name__ == "__main__":
    raise SystemExit(main())
