"""Bytes that are no request at all still get an answer in our form."""

from __future__ import annotations

import json
import socket

import pytest

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
