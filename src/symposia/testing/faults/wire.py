"""HTTP/1.1 over asyncio streams: as much of it as the clients of these protocols use."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Callable, Mapping
from typing import Any

_REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 429: "Too Many Requests"}


async def read_request(reader: asyncio.StreamReader) -> tuple[str, str, dict[str, str], bytes] | None:
    """Method, path, headers in lower case, body; None where the client has gone."""
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        line, *fields = head.rstrip("\r\n").split("\r\n")
        method, path, _ = line.split(" ", 2)
        headers = {
            name.strip().lower(): value.strip() for name, _, value in (f.partition(":") for f in fields)
        }
        if headers.get("transfer-encoding", "").lower() == "chunked":
            return method, path, headers, await _chunks(reader)
        return method, path, headers, await reader.readexactly(int(headers.get("content-length", 0)))
    except (asyncio.IncompleteReadError, ConnectionError):
        return None


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        body += (await reader.readexactly(size + 2))[:-2]
    await reader.readuntil(b"\r\n")
    return body


class Ears(asyncio.StreamReader):
    """A reader that tells at once when the client hangs up, whether anybody reads or not."""

    def __init__(self) -> None:
        super().__init__()
        self.hung_up: Callable[[], object] | None = None

    def feed_eof(self) -> None:
        """The client sends no more."""
        super().feed_eof()
        self._tell()

    def set_exception(self, exc: Exception) -> None:
        """The connection broke."""
        super().set_exception(exc)
        self._tell()

    def _tell(self) -> None:
        if self.hung_up is not None:
            self.hung_up()


class Connection:
    """One client's connection, for writing replies and for breaking them."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self.closed = False

    async def send(self, raw: bytes) -> None:
        """Write, and wait until the system has it."""
        self._writer.write(raw)
        await self._writer.drain()

    async def reply(
        self, status: int, body: object, headers: Mapping[str, str] = {}, *, bytewise: bool = False
    ) -> None:
        """A whole reply: JSON, or a page of HTML if `body` is text. `bytewise`: its body a byte at a time."""
        page = isinstance(body, str)
        raw = body.encode() if isinstance(body, str) else json.dumps(body, ensure_ascii=False).encode()
        kind = "text/html; charset=utf-8" if page else "application/json"
        fields = {"content-type": kind, "content-length": str(len(raw)), **headers}
        await self.send(_head(status, fields) + (b"" if bytewise else raw))
        for byte in raw if bytewise else b"":
            await self.send(bytes((byte,)))
            await asyncio.sleep(0)

    async def begin_stream(self, headers: Mapping[str, str] = {}) -> None:
        """The head of a stream of events."""
        fields = {
            "content-type": "text/event-stream; charset=utf-8",
            "transfer-encoding": "chunked",
            **headers,
        }
        await self.send(_head(200, fields))

    async def chunk(self, raw: bytes) -> None:
        """One chunk of it."""
        await self.send(b"%x\r\n%b\r\n" % (len(raw), raw))

    async def half_a_chunk(self, raw: bytes) -> None:
        """A chunk that promises more than comes."""
        await self.send(b"%x\r\n%b" % (len(raw), raw[: len(raw) // 2]))

    async def end_stream(self) -> None:
        """The proper end."""
        await self.send(b"0\r\n\r\n")

    def close(self) -> None:
        """Close it: the client reads the end of the connection."""
        self.closed = True
        self._writer.close()

    def reset(self) -> None:
        """Close it so that the client gets a reset."""
        self.closed = True
        sock: Any = self._writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()


def _head(status: int, headers: Mapping[str, str]) -> bytes:
    lines = [
        f"HTTP/1.1 {status} {_REASONS.get(status, 'Status')}",
        *(f"{n}: {v}" for n, v in headers.items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode("latin-1", errors="replace")
