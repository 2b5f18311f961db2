"""One connection to Redis: commands go out as they come, answers come back in that order. RESP 2, as far as scripts go.

A command costs a tenth of what it does in a general client: no pool, no retry, no layer between it and the socket.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from typing import cast
from urllib.parse import parse_qs, unquote, urlsplit

from symposia.core.errors import InvalidInput

Answer = bytes | int | None


class Refused(Exception):
    """Redis answered with an error; its first word is the code."""

    @property
    def code(self) -> str:
        """`NOSCRIPT`, `NOAUTH`, `OOM`, `ERR`, ..."""
        return str(self).partition(" ")[0]


class Connection:
    """A connection to `url` (redis://, rediss://, unix://), made when first needed and again after it broke.

    `call` raises `Refused` for an error answered, `OSError` if the connection cannot be made or breaks, or if an answer
    takes longer than `patience_s`.
    """

    def __init__(self, url: str, *, patience_s: float) -> None:
        self._address = _address(url)
        self._patience_s = patience_s
        self._lock = asyncio.Lock()
        self._wire: _Wire | None = None

    async def call(self, *parts: bytes) -> Answer:
        """The answer to one command."""
        wire = self._wire
        if wire is None or wire.broken:
            wire = await self._connected()
        return await wire.send(parts)

    async def aclose(self) -> None:
        """Let go of it. What is under way fails."""
        if self._wire is not None:
            self._wire.abort()
            self._wire = None

    async def _connected(self) -> _Wire:
        async with self._lock:
            if self._wire is None or self._wire.broken:
                try:
                    async with asyncio.timeout(self._patience_s):
                        self._wire = await self._made()
                except TimeoutError as error:
                    raise OSError(f"{self._address.shown} did not answer") from error
            return self._wire

    async def _made(self) -> _Wire:
        loop, address = asyncio.get_running_loop(), self._address
        if address.path:
            _, wire = await loop.create_unix_connection(lambda: _Wire(self._patience_s), address.path)
        else:
            secure = ssl.create_default_context() if address.secure else None
            _, wire = await loop.create_connection(
                lambda: _Wire(self._patience_s), address.host, address.port, ssl=secure
            )
        try:
            for command in address.greeting:
                await wire.send(command)
        except BaseException:
            wire.abort()
            raise
        return wire


class _Wire(asyncio.Protocol):
    """Bytes out, answers in."""

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[tuple[float, asyncio.Future[Answer]]] = deque()
        self._rest = b""
        self._transport: asyncio.WriteTransport | None = None
        self._watch: asyncio.TimerHandle | None = None
        self.broken = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop's are of no such class

    def send(self, parts: tuple[bytes, ...]) -> asyncio.Future[Answer]:
        """The answer, some time later."""
        if self.broken or self._transport is None:
            raise ConnectionResetError("the connection to Redis is closed")
        future: asyncio.Future[Answer] = self._loop.create_future()
        self._waiting.append((self._loop.time() + self._patience_s, future))
        if self._watch is None:
            self._watch = self._loop.call_later(self._patience_s, self._look)
        self._transport.write(_command(parts))
        return future

    def abort(self) -> None:
        """Close at once; whoever waits hears of it."""
        self.broken = True
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        rest, at = self._rest + data, 0
        while at < len(rest):
            read = _answer(rest, at)
            if read is None:
                break
            answer, at = read
            _, future = self._waiting.popleft()
            if not future.done():  # whoever asked may have been cancelled
                if isinstance(answer, Refused):
                    future.set_exception(answer)
                else:
                    future.set_result(answer)
        self._rest = rest[at:]

    def connection_lost(self, exc: Exception | None) -> None:
        self.broken = True
        if self._watch is not None:
            self._watch.cancel()
        for _, future in self._waiting:
            if not future.done():
                future.set_exception(
                    ConnectionResetError(f"the connection to Redis broke{f': {exc}' if exc else ''}")
                )
        self._waiting.clear()

    def _look(self) -> None:
        """Give up on a server that leaves its oldest question unanswered."""
        self._watch = None
        if self._waiting:
            left = self._waiting[0][0] - self._loop.time()
            if left <= 0:
                self.abort()
            else:
                self._watch = self._loop.call_later(left, self._look)


class _Address:
    """Where, and what to say first."""

    def __init__(self, shown: str, secure: bool) -> None:
        self.shown, self.secure = shown, secure
        self.host, self.port, self.path = "localhost", 6379, ""
        self.greeting: list[tuple[bytes, ...]] = []


def _address(url: str) -> _Address:
    parts = urlsplit(url)
    if parts.scheme not in ("redis", "rediss", "unix"):
        raise InvalidInput(f"{parts.scheme}: expected redis://HOST:PORT/DB, rediss://… or unix://PATH?db=DB")
    address = _Address(f"Redis at {parts.hostname or parts.path}", parts.scheme == "rediss")
    address.host, address.port = parts.hostname or "localhost", parts.port or 6379
    database = parts.path.strip("/")
    if parts.scheme == "unix":
        address.path, database = parts.path, parse_qs(parts.query).get("db", [""])[0]
    if database and not database.isdecimal():
        raise InvalidInput(f"Redis database {database!r}: expected a number")
    if parts.password:
        named = (unquote(parts.username).encode(),) if parts.username else ()
        address.greeting.append((b"AUTH", *named, unquote(parts.password).encode()))
    if database and database != "0":
        address.greeting.append((b"SELECT", database.encode()))
    return address


def _command(parts: tuple[bytes, ...]) -> bytes:
    pieces = [b"*%d\r\n" % len(parts)]
    pieces.extend(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts)
    return b"".join(pieces)


def _answer(raw: bytes, at: int) -> tuple[Answer | Refused, int] | None:
    """The answer that begins at `at` and where it ends; None: there is more to come."""
    end = raw.find(b"\r\n", at)
    if end < 0:
        return None
    kind, line, after = raw[at : at + 1], raw[at + 1 : end], end + 2
    if kind == b"$":
        size = int(line)
        if size < 0:
            return None, after
        return (raw[after : after + size], after + size + 2) if len(raw) >= after + size + 2 else None
    if kind == b":":
        return int(line), after
    if kind == b"-":
        return Refused(line.decode(errors="replace")), after
    if kind == b"+":
        return line, after
    raise ConnectionResetError(f"expected an answer of Redis; got {raw[at : at + 20]!r}")
