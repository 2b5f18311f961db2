"""HTTP/1.1 as uvicorn reads it; only what cannot be read at all is answered here, in our form and not as plain text."""

from __future__ import annotations

import secrets

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from .faults import Fault


class Http11(HttpToolsProtocol):
    """Give it to uvicorn as `http`."""

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
