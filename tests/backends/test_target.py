"""Requests on aiohttp's connections without its session: the same bytes, and nothing used again that should not be."""

from __future__ import annotations

import asyncio
import gc

import aiohttp
import pytest
from msgspec.structs import replace
from yarl import URL

from symposia.backends.policy import Timeouts
from symposia.backends.pool import Pool
from symposia.backends.target import Response, Target
from symposia.backends.waits import TICK_S, Watch
from symposia.core.clock import SystemClock
from symposia.core.errors import BackendError
from symposia.testing.faults import FaultyUpstream
from tests.backends.relaying import MODES, SHORT, asking, items_of, relay, whole
from tests.backends.test_relay import serving

pytestmark = pytest.mark.timeout(60)
HEADERS = {"accept-encoding": "identity", "user-agent": "symposia", "content-type": "application/json"}
BODY = b'{"a": "\xc3\xbc"}'
PLACES = ("/v1/x", "/a b/\u00fc", "/v1/x?api-version=1&q=%2F", "/v1/x#part", "")


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("user", ["", "me:se%20cret@"])
async def test_the_bytes_are_those_a_session_would_send(place: str, user: str) -> None:
    """Line, fields and body, wherever it goes and whoever the address says one is."""
    seen: list[bytes] = []

    async def keep(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        seen.append(head + await reader.readexactly(len(BODY)))
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(keep, "127.0.0.1", 0)
    url = URL(f"http://{user}127.0.0.1:{server.sockets[0].getsockname()[1]}{place}")
    async with aiohttp.ClientSession() as session, session.post(url, data=BODY, headers=HEADERS):
        pass
    connector = aiohttp.TCPConnector()
    target = Target(connector, "POST", url, HEADERS)
    response = await target.send(await target.connect(), BODY, "")
    assert (response.status, await response.content.read(), response.media_type) == (204, b"", "")
    await connector.close()
    server.close()
    theirs, ours = seen
    assert sorted(ours.split(b"\r\n")) == sorted(theirs.split(b"\r\n"))
    assert ours.endswith(b"\r\n\r\n" + BODY)
    assert ours.split(b"\r\n")[0] == theirs.split(b"\r\n")[0]


async def test_what_comes_before_a_response_is_passed_over() -> None:
    """Early hints and the like, however many."""

    async def hints(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n")
        await writer.drain()
        await asyncio.sleep(0.01)
        said = b'{"choices": [{"message": {"content": "Yes."}, "finish_reason": "stop"}]}'
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(said), said))
        await writer.drain()

    async with serving(hints) as url, relay(url) as backend:
        assert (await whole(backend, asking(streamed=False))).text == "Yes."


async def test_a_connection_that_holds_half_a_request_is_not_used_again() -> None:
    """A refusal may come before the body was sent: what is left of it must not begin the next request."""
    connections = 0

    async def refuse(writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        writer.write(b"HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n")
        await asyncio.sleep(5)

    watch = Watch(Timeouts(), SystemClock())
    async with serving(refuse) as url:
        pool = Pool(url, HEADERS, watch)
        for _ in range(2):
            response = await pool.send("/x", bytes(32 << 20), watch.begin())
            assert response.status == 413
            response.close()
        await pool.aclose()
    assert connections == 2


@pytest.mark.parametrize("streamed", MODES, ids=("streamed", "whole"))
async def test_what_a_request_leaves_behind_is_freed_without_the_collector(streamed: bool) -> None:
    """Answered, refused, cut, past a limit, left by its listener: of none is a response left to the collector."""

    async def left_early() -> None:
        stream = backend.generate(asking("fault-stall" if streamed else "gpt-x", streamed=streamed))
        await anext(stream)
        await stream.aclose()

    async def all_ways() -> None:
        await items_of(backend, asking(streamed=streamed))
        for name in ("500", "drop", "eof", "stall", "silence"):
            with pytest.raises(BackendError):
                await items_of(backend, asking(f"fault-{name}", streamed=streamed))
        await left_early()
        await asyncio.sleep(3 * TICK_S)  # who looks at deadlines holds what it saw last until it looks again

    def responses() -> int:
        return sum(type(one) is Response for one in gc.get_objects())

    limits = replace(SHORT, idle_s=0.1, first_delta_s=0.1)
    async with FaultyUpstream() as server, relay(server, timeouts=limits) as backend:
        await all_ways()
        gc.collect()
        gc.disable()
        try:
            before = responses()
            await all_ways()
            assert responses() == before
        finally:
            gc.enable()
