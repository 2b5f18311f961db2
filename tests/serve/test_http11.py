"""Bytes that are no request at all still get an answer in our form."""

from __future__ import annotations

import asyncio
import json
import socket

import pytest

from symposia.serve.http11 import Joined
from tests.serving import Serving, scripted


@pytest.mark.parametrize(
    "raw", [b"\x16\x03\x01 hello\r\n\r\n", b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n"]
)
def test_what_is_no_http_is_a_400_in_json(raw: bytes) -> None:
    """TLS spoken to a plain port, a path past what the parser takes: an error object, then the end."""
    with (
        Serving({"m": scripted()}) as serving,
        socket.create_connection(("127.0.0.1", serving.port)) as caller,
    ):
        caller.sendall(raw)
        heard = b""
        while piece := caller.recv(65_536):
            heard += piece
    head, _, body = heard.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"content-type: application/json" in head
    error = json.loads(body)["error"]
    assert error["code"] == "invalid_value"
    assert f"x-request-id: {error['request_id']}".encode() in head


class Wire(asyncio.Transport):
    """A transport that notes what it is given, a call each."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.sent.append(data)

    def close(self) -> None:
        self.sent.append(b"closed")

    def is_closing(self) -> bool:
        return False


async def test_a_head_leaves_with_the_first_piece_and_never_later_than_the_next_turn() -> None:
    """One write for head and body; a head alone goes by itself; nothing is lost or out of order at a close."""
    wire = Wire()
    joined = Joined(wire, asyncio.get_running_loop())
    joined.write(b"HTTP/1.1 200 OK\r\n\r\n")
    joined.write(b"body")
    joined.write(b"more")
    await asyncio.sleep(0)
    assert wire.sent == [b"HTTP/1.1 200 OK\r\n\r\nbody", b"more"]
    joined.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert len(wire.sent) == 2
    await asyncio.sleep(0)
    assert wire.sent[2:] == [b"HTTP/1.1 100 Continue\r\n\r\n"]
    joined.write(b"HTTP/1.1 204 No Content\r\n\r\n")
    joined.close()
    assert wire.sent[3:] == [b"HTTP/1.1 204 No Content\r\n\r\n", b"closed"]
    assert joined.is_closing() is False


def test_a_server_writes_head_and_body_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not only the class by itself: what a server's connection is given."""
    sent: list[bytes] = []
    write = Joined.write

    def noted(self: Joined, data: bytes) -> None:
        inner = self._transport

        class Noting:
            def write(self, raw: bytes) -> None:
                sent.append(bytes(raw))
                inner.write(raw)

        self._transport = Noting()
        write(self, data)
        self._transport = inner

    monkeypatch.setattr(Joined, "write", noted)
    with Serving({"m": scripted("Hello there.")}) as serving:
        serving.openai().chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])
    replies = [raw for raw in sent if b"chat.completion" in raw]
    assert len(replies) == 1
    assert replies[0].startswith(b"HTTP/1.1 200")
