"""HTTP/1.1 on aiohttp's connections: a head that is made once, a body, and the response as its parser reads it.

The pool, name look-up, TLS and parsing are aiohttp's. Its session is left out: for every request that makes headers,
cookies, redirects and a task anew, of which nothing differs here from one request to the next.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from functools import partial

import aiohttp
from aiohttp.connector import Connection
from aiohttp.http import RawResponseMessage
from yarl import URL

_FOREVER = aiohttp.ClientTimeout(total=None, connect=None, sock_connect=None, sock_read=None)
_LENGTH = "Content-Length"


class Response:
    """Status and headers, and a body still to come. Its last byte gives the connection back to the pool."""

    __slots__ = ("_connection", "content", "headers", "status")

    def __init__(
        self, connection: Connection, message: RawResponseMessage, content: aiohttp.StreamReader
    ) -> None:
        self._connection = connection
        self.status: int = message.code
        self.headers: Mapping[str, str] = message.headers
        self.content = content
        content.on_eof(partial(_read, connection))

    @property
    def media_type(self) -> str:
        """As `content-type` gives it, without parameters; "" where it does not."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    def close(self) -> None:
        """Close the connection, unless the body was read to its end."""
        self._connection.close()
        raised = self.content.exception()
        if raised is not None:
            raised.__traceback__ = None  # its frames hold the content, and that it: a cycle for the collector

    def give_up(self) -> None:
        """Close it while the body is being read: the reader gets aiohttp's `ClientConnectionError`."""
        self.content.set_exception(aiohttp.ClientConnectionError("given up"))
        self.close()


class Target:
    """Where requests with the same method, URL and headers go, by one loop's connections."""

    def __init__(
        self, connector: aiohttp.TCPConnector, method: str, url: URL, headers: Mapping[str, str]
    ) -> None:
        self._connector = connector
        self._asked = aiohttp.ClientRequest(method, url, headers=headers)
        fields = [f"{name}: {value}" for name, value in self._asked.headers.items() if name != _LENGTH]
        self._head = "\r\n".join([f"{method} {url.raw_path_qs} HTTP/1.1", *fields, ""]).encode()

    def connect(self) -> Awaitable[Connection]:
        """A connection, new or used before. Raises aiohttp's `ClientConnectorError`."""
        return self._connector.connect(self._asked, [], _FOREVER)

    async def send(self, connection: Connection, body: bytes | None, traceparent: str) -> Response:
        """The response. Raises aiohttp's `ClientConnectionError` and `HttpProcessingError`, the connection closed."""
        protocol = connection.protocol
        assert protocol is not None, "a connection that was just made or taken is held by nobody else"
        protocol.set_response_params(read_until_eof=True)
        try:
            if protocol.transport is not None:  # else it ended already, which reading tells
                protocol.transport.write(self._bytes(body, traceparent))
            while True:
                message, content = await protocol.read()
                if message.code >= 200 or message.code == 101:
                    return Response(connection, message, content)
        except BaseException:
            connection.close()
            raise

    def _bytes(self, body: bytes | None, traceparent: str) -> bytes:
        traced = b"traceparent: %b\r\n" % traceparent.encode() if traceparent else b""
        if body is None:
            return b"%b%b\r\n" % (self._head, traced)
        return b"%b%bContent-Length: %d\r\n\r\n%b" % (self._head, traced, len(body), body)


def _read(connection: Connection) -> None:
    """The response is whole: the connection can be used again, unless part of the request was never sent."""
    transport = connection.transport
    if transport is not None and transport.get_write_buffer_size():
        connection.close()
    else:
        connection.release()
