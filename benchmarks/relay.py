"""`python benchmarks/relay.py [--json]`: what relaying a request costs before any serving, beside aiohttp's session.

CPU time of this process; the upstream (`serving/stub.py`) has one of its own, on another core if there is one. The
pieces of a stream are writes of their own, 10 ms apart; `STREAMS` run side by side.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "src"))
sys.path.insert(0, str(Path(__file__).parent))

import aiohttp
import msgspec
import uvloop
from msgspec.structs import replace
from serving.servers import HERE, free_port, listening
from serving.stub import PIECES
from text_column import Row, at_most, best, machine, told

from symposia.backends.endpoint import OpenAIEndpoint
from symposia.backends.openai.unread import Reading
from symposia.backends.openai.wire import ChatWire
from symposia.backends.policy import Timeouts
from symposia.backends.relay import Relay
from symposia.backends.sse import EventReader
from symposia.core.clock import SystemClock
from symposia.core.request import About, Request
from symposia.testing.backends import plain_request

CALLS, TIMES, STREAMS, FEW, MANY = 300, 5, 50, 2, 102
Call = Callable[[Request], Awaitable[None]]


async def cpu_us(work: Callable[[], Awaitable[None]], calls: int) -> float:
    """CPU microseconds a call: the smallest of several runs."""
    await work()
    found = []
    for _ in range(TIMES):
        began = time.process_time()
        await work()
        found.append((time.process_time() - began) / calls * 1e6)
    return min(found)


@asynccontextmanager
async def relayed(url: str) -> AsyncIterator[Call]:
    """A call through the backend."""
    backend = Relay(url, None, Timeouts(), SystemClock())

    async def call(request: Request) -> None:
        async for _ in backend.generate(request):
            pass

    yield call
    await backend.aclose()


@asynccontextmanager
async def bare(url: str) -> AsyncIterator[Call]:
    """The same request through aiohttp, its bytes unread."""
    wire = ChatWire("upstream", OpenAIEndpoint(base_url=url, flavour="generic"))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as client:

        async def call(request: Request) -> None:
            body = msgspec.json.encode(wire.body(request, streamed=request.about.streamed))
            headers = {"content-type": "application/json"}
            async with client.post(f"{url}/chat/completions", data=body, headers=headers) as reply:
                async for _ in reply.content.iter_any():
                    pass

        yield call


def asked(tokens: int, *, streamed: bool) -> Request:
    """A short question for so many pieces."""
    return replace(plain_request("upstream:tiny", tokens), about=About(streamed=streamed))


async def cost(call: Call) -> tuple[float, float, float]:
    """CPU of a whole reply, of a stream's beginning and end, and of each of its pieces."""

    async def one_by_one() -> None:
        for _ in range(CALLS):
            await call(asked(FEW, streamed=False))

    async def side_by_side(tokens: int) -> None:
        await asyncio.gather(*(call(asked(tokens, streamed=True)) for _ in range(STREAMS)))

    whole = await cpu_us(one_by_one, CALLS)
    few = await cpu_us(lambda: side_by_side(FEW), STREAMS)
    many = await cpu_us(lambda: side_by_side(MANY), STREAMS)
    piece = (many - few) / (MANY - FEW)
    return whole, few - FEW * piece, piece


def fold_us(pieces: int = 2_000) -> float:
    """CPU of making a delta of the bytes of a piece, without any network."""
    raw = PIECES[0].split(b"\r\n")[1]
    wire = ChatWire("upstream", OpenAIEndpoint(base_url="http://127.0.0.1/v1", flavour="generic"))

    def once() -> float:
        reply, reader = wire.reply(asked(512, streamed=True), Reading(lambda _: None)), EventReader()
        began = time.process_time()
        for _ in range(pieces):
            for name, data in reader.feed(raw):
                for _delta in reply.feed(name, data):
                    pass
        return (time.process_time() - began) / pieces * 1e6

    return best(4 * TIMES, once)


async def rows(url: str) -> list[Row]:
    """Every row."""
    async with bare(url) as theirs:
        whole, ends, piece = await cost(theirs)
    async with relayed(url) as ours:
        our_whole, our_ends, our_piece = await cost(ours)
    return [
        at_most(
            "a whole reply, beyond aiohttp",
            our_whole - whole,
            150,
            "us",
            f"its session alone: {whole:.0f} us",
        ),
        at_most("a stream, beyond aiohttp", our_ends - ends, 200, "us", f"its session alone: {ends:.0f} us"),
        at_most("a piece, beyond aiohttp", our_piece - piece, 8, "us", f"its session alone: {piece:.1f} us"),
        at_most("a piece, everything", our_piece, 30, "us", "load on the machine joins pieces into one read"),
        at_most("a piece, folding alone", fold_us(), 5, "us", "bytes to delta, in memory"),
    ]


def measured() -> list[Row]:
    """The rows, with an upstream that stands as long as that takes."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, str(HERE / "stub.py"), str(port)]
        with listening(command, port, core=1, told=Path(folder) / "stub.log"):
            return uvloop.run(rows(f"http://127.0.0.1:{port}/v1"))


def main() -> int:
    """Prints the table; 1 if a bar is missed."""
    return told(__doc__, measured, f"{machine()}; aiohttp {aiohttp.__version__}")


if __name__ == "__main__":
    raise SystemExit(main())
