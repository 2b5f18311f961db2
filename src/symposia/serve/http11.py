"""HTTP/1.1 as uvicorn reads it; but what cannot be read is answered in our form, and a head leaves with its body."""

from __future__ import annotations

import asyncio
import secrets

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from .faults import Fault

_STATUS_LINE = b"HTTP/1.1 "


class Joined:
    """A transport that keeps a reply's head for the first piece of its body, at most until the loop's next turn.

    Uvicorn writes the two apart: two calls of the system, two packets, and a caller woken twice.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._head = b""
        self.is_closing, self.get_extra_info = transport.is_closing, transport.get_extra_info
        self.pause_reading, self.resume_reading = transport.pause_reading, transport.resume_reading
        self.set_protocol = transport.set_protocol

    def write(self, data: bytes) -> None:
        """Send, or keep a head."""
        if self._head:
            data, self._head = self._head + data, b""
        elif data.startswith(_STATUS_LINE):
            self._head = data
            self._loop.call_soon(self._flush)
            return
        self._transport.write(data)

    def close(self) -> None:
        """Send what is kept, then hang up."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._head:
            head, self._head = self._head, b""
            self._transport.write(head)


class Http11(HttpToolsProtocol):
    """Give it to uvicorn as `http`."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """As uvicorn's, with the head kept for the body."""
        super().connection_made(Joined(transport, self.loop))  # type: ignore[arg-type]

    def send_400_response(self, msg: str) -> None:
        """Answer bytes that are no request, and hang up."""
        request_id = f"req_{secrets.token_hex(12)}"
        raw = Fault("invalid_value", f"the request line and its headers: {msg}").body(request_id)
        self.transport.write(
            b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\n"
            b"x-request-id: %b\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%b"
            % (request_id.encode(), len(raw), raw)
        )
        self.transport.close()
