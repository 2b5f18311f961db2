"""Promises of the connection to Redis: answers in order however they are cut, and no caller left waiting."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from symposia.core.errors import InvalidInput
from symposia.serve.ledger import LedgerUnreachable
from symposia.serve.ledger.redis import RedisLedger
from symposia.serve.ledger.resp import Connection, Refused

Serving = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def redis(serving: Serving) -> AsyncIterator[str]:
    """An address where somebody answers as told."""
    ended: list[asyncio.Task[None]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ended.append(asyncio.current_task())
        try:
            await serving(reader, writer)
        except (asyncio.CancelledError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in ended:
            task.cancel()
        await asyncio.gather(*ended, return_exceptions=True)


async def command(reader: asyncio.StreamReader) -> list[bytes]:
    count = int((await reader.readuntil(b"\r\n"))[1:])
    parts = []
    for _ in range(count):
        size = int((await reader.readuntil(b"\r\n"))[1:])
        parts.append((await reader.readexactly(size + 2))[:-2])
    return parts


async def test_answers_come_in_order_a_byte_at_a_time() -> None:
    """Strings with line ends in them, numbers, nothing, errors: each to whoever asked."""
    answers = [b"$4\r\na\r\nb\r\n", b":-7\r\n", b"$-1\r\n", b"-OOM too much\r\n", b"+OK\r\n", b"$0\r\n\r\n"]

    async def serving(reader, writer) -> None:
        asked = [await command(reader) for _ in answers]
        assert asked == [[b"GET", b"%d" % i] for i in range(len(answers))]
        for byte in b"".join(answers):
            writer.write(bytes([byte]))
            await writer.drain()
        await reader.read()

    async with redis(serving) as url:
        connection = Connection(url, patience_s=20)
        calls = (connection.call(b"GET", b"%d" % i) for i in range(len(answers)))
        found = await asyncio.gather(*calls, return_exceptions=True)
        assert found[:3] == [b"a\r\nb", -7, None]
        assert isinstance(found[3], Refused)
        assert found[3].code == "OOM"
        assert found[4:] == [b"OK", b""]
        await connection.aclose()


async def test_the_first_words_are_password_and_database() -> None:
    """As the address has them, decoded."""
    heard: list[list[bytes]] = []

    async def serving(reader, writer) -> None:
        for _ in range(3):
            heard.append(await command(reader))
            writer.write(b"+OK\r\n")

    async with redis(serving) as url:
        connection = Connection(url.replace("//", "//me:p%40ss@") + "/3", patience_s=20)
        assert await connection.call(b"PING") == b"OK"
        await connection.aclose()
    assert heard == [[b"AUTH", b"me", b"p@ss"], [b"SELECT", b"3"], [b"PING"]]


async def test_a_caller_who_gave_up_shifts_nobody_elses_answer() -> None:
    """The answer to a cancelled call is dropped, the next goes to the next."""
    heard, go = asyncio.Event(), asyncio.Event()

    async def serving(reader, writer) -> None:
        for _ in range(2):
            await command(reader)
        heard.set()
        await go.wait()
        writer.write(b":1\r\n:2\r\n")
        await reader.read()

    async with redis(serving) as url:
        connection = Connection(url, patience_s=20)
        first = asyncio.create_task(connection.call(b"ONE"))
        second = asyncio.create_task(connection.call(b"TWO"))
        await heard.wait()
        first.cancel()
        go.set()
        assert await second == 2
        await connection.aclose()


async def test_a_broken_connection_fails_who_waits_and_is_made_again() -> None:
    """Nobody hangs, nothing is asked twice."""
    heard: list[bytes] = []

    async def serving(reader, writer) -> None:
        heard.append((await command(reader))[0])
        if heard[-1] == b"LOSE":
            return
        writer.write(b"+OK\r\n")
        await reader.read()

    async with redis(serving) as url:
        connection = Connection(url, patience_s=20)
        with pytest.raises(OSError, match="broke"):
            await connection.call(b"LOSE")
        assert await connection.call(b"KEEP") == b"OK"
        await connection.aclose()
    assert heard == [b"LOSE", b"KEEP"]


async def test_a_server_that_never_answers_is_given_up() -> None:
    """After the patience it was given, whoever waits hears of it."""

    async def serving(reader, writer) -> None:
        await reader.read()
        await asyncio.Event().wait()

    async with redis(serving) as url:
        connection = Connection(url, patience_s=0.2)
        with pytest.raises(OSError, match="broke"):
            await connection.call(b"PING")


async def test_whatever_else_answers_is_no_redis() -> None:
    """Not a hang, and not an answer."""

    async def serving(reader, writer) -> None:
        await command(reader)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await reader.read()

    async with redis(serving) as url:
        connection = Connection(url, patience_s=20)
        with pytest.raises(OSError, match="expected an answer of Redis; got b'HTTP"):
            await connection.call(b"PING")


async def test_an_error_and_an_absent_server_are_an_unreachable_ledger() -> None:
    """With what the server said."""

    async def serving(reader, writer) -> None:
        await command(reader)
        writer.write(b"-READONLY You can't write against a read only replica.\r\n")
        await reader.read()

    async with redis(serving) as url:
        ledger = RedisLedger(url)
        with pytest.raises(LedgerUnreachable, match="READONLY"):
            await ledger.ping()
        await ledger.aclose()
    with pytest.raises(LedgerUnreachable):
        await RedisLedger(url).ping()


@pytest.mark.parametrize("url", ["http://h:1", "redis://h/first", "unix:///run/redis.sock?db=x"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    """Before anything is connected."""
    with pytest.raises(InvalidInput, match="expected"):
        Connection(url, patience_s=1)
