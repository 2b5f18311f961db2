"""One HTTP request as ASGI gives it: its header fields, its body within a limit, and the way to answer it."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

from .faults import Fault

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

MOST_HEADERS = 32 * 1024
_ID = re.compile(rb"[A-Za-z0-9_.:-]{1,128}")
_JSON = b"application/json"
JSON = (b"content-type", b"application/json")


class Gone(Exception):
    """The caller is no longer there, or takes nothing any more."""


class Call:
    """A request and its answer. `fields` are header values by name in lower case; of repeated ones the last.

    `began` is when it came, on the monotonic clock; `request_id` the caller's where it may be one, else `own_id`.
    """

    __slots__ = (
        "_receive",
        "_send",
        "answered",
        "began",
        "fields",
        "method",
        "own_id",
        "path",
        "query",
        "request_id",
    )

    def __init__(self, scope: Scope, receive: Receive, send: Send, *, began: float, own_id: str) -> None:
        self._receive, self._send = receive, send
        self.fields: dict[bytes, bytes] = dict(scope["headers"])
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.query: bytes = scope["query_string"]
        self.began, self.own_id = began, own_id
        self.answered = False
        given = self.fields.get(b"x-request-id")
        self.request_id = given.decode() if given is not None and _ID.fullmatch(given) else own_id

    def text(self, name: bytes) -> str | None:
        """A header's value as text."""
        value = self.fields.get(name)
        return None if value is None else value.decode("latin-1")

    async def body(self, most: int) -> bytes:
        """The JSON body. Raises `Fault` 413 or 415 before reading where it can, `Gone` if it does not come."""
        self._check_body(most)
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise Gone
        raw: bytes = message.get("body", b"")
        if not message.get("more_body", False):
            return self._within(raw, most)
        pieces = [raw]
        size = len(raw)
        while message.get("more_body", False):
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise Gone
            pieces.append(message.get("body", b""))
            size += len(pieces[-1])
            if size > most:
                break
        return self._within(b"".join(pieces), most)

    async def left(self) -> None:
        """Returns once the caller has gone, or the answer was sent whole."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def start(self, status: int, headers: Sequence[tuple[bytes, bytes]]) -> None:
        """Status and headers."""
        self.answered = True
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def send(self, raw: bytes, *, more: bool) -> None:
        """A piece of the body; the last where no `more` follows."""
        await self._send({"type": "http.response.body", "body": raw, "more_body": more})

    async def answer(self, status: int, headers: Headers, raw: bytes) -> None:
        """A whole answer."""
        headers.append((b"content-length", b"%d" % len(raw)))
        await self.start(status, headers)
        await self.send(raw, more=False)

    def _check_body(self, most: int) -> None:
        length = self.fields.get(b"content-length")
        if length is not None and length.isdigit() and int(length) > most:
            raise _too_large(most)
        kind = self.fields.get(b"content-type", b"")
        if kind != _JSON and kind.partition(b";")[0].strip().lower() != _JSON:
            raise Fault(
                "unsupported_media_type",
                f"content-type: expected application/json; got {kind.decode('latin-1')[:100] or 'none'}",
            )

    @staticmethod
    def _within(raw: bytes, most: int) -> bytes:
        if len(raw) > most:
            raise _too_large(most)
        return raw


def _too_large(most: int) -> Fault:
    return Fault("request_too_large", f"expected a body of at most {most} bytes")
