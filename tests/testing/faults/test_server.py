"""What each fault is on the wire, read by a client that hides nothing: bytes from a socket."""

from __future__ import annotations

import asyncio
import json

import pytest

from symposia.core.clock import VirtualClock
from symposia.core.errors import InvalidInput
from symposia.testing.faults import SENTENCE, FaultyUpstream, Received, Reply, Storm

BODY = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": True}
PATHS = {"openai": "/v1/chat/completions", "anthropic": "/v1/messages"}
BOTH = pytest.mark.parametrize("dialect", PATHS)


async def raw(server: FaultyUpstream, dialect: str = "openai", **body: object) -> tuple[bytes, str]:
    """Everything that comes until the connection ends, and how it ended."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    sent = json.dumps({**BODY, **body}).encode()
    head = f"POST {PATHS[dialect]} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer k3y\r\ncontent-length: {len(sent)}"
    writer.write(f"{head}\r\n\r\n".encode() + sent)
    got, ended = b"", "open"
    try:
        while b"\r\n0\r\n\r\n" not in got and not (b"content-length: " in got and whole(got)):
            piece = await asyncio.wait_for(reader.read(65_536), 5)
            if not piece:
                ended = "closed"
                break
            got += piece
    except ConnectionResetError:
        ended = "reset"
    writer.close()
    return got, ended


def whole(got: bytes) -> bool:
    head, _, body = got.partition(b"\r\n\r\n")
    return len(body) >= int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])


@BOTH
async def test_a_stream_ends_properly(dialect: str) -> None:
    """The plain answer: a finish, the end of the protocol's stream, and the connection stays open."""
    async with FaultyUpstream() as server:
        got, ended = await raw(server, dialect)
    assert ended == "open"
    assert (b"[DONE]" if dialect == "openai" else b"message_stop") in got


@BOTH
@pytest.mark.parametrize(
    ("plan", "ended", "has", "lacks"),
    [
        ("eof", "open", b"200 OK", b'finish_reason": "stop'),
        ("eof-before-headers", "closed", b"", b"HTTP"),
        ("truncated", "closed", b"200 OK", b"\r\n0\r\n"),
        ("reset", "reset", b"", b"HTTP"),
        ("reset:after=1", "reset", b"200 OK", b"\r\n0\r\n"),
        ("no-finish", "open", b"200 OK", b"message_stop"),
        ("mid-stream-error", "open", b"the model went away", b"message_stop"),
        ("502-html", "open", b"<!doctype html>", b"application/json"),
        ("html", "open", b"HTTP/1.1 200", b"application/json"),
        ("401-echo-key", "open", b"https://user:k3y@", b"HTTP/1.1 200"),
        ("429:retry-after=7:code=slow_down", "open", b"retry-after: 7\r\n", b"HTTP/1.1 200"),
    ],
)
async def test_each_fault_is_what_it_says(
    dialect: str, plan: str, ended: str, has: bytes, lacks: bytes
) -> None:
    """How the connection ends, what came and what did not."""
    async with FaultyUpstream(plan) as server:
        got, end = await raw(server, dialect)
    assert end == ended
    assert has in got
    assert lacks not in got or (plan == "no-finish" and dialect == "openai")
    assert b'"finish_reason": "stop"' not in got
    assert b"end_turn" not in got


async def test_nobody_listens() -> None:
    """connect-refused: the port is known, and nobody is there."""
    async with FaultyUpstream("connect-refused") as server:
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", server.port)


async def test_garbage_is_no_json() -> None:
    """The second event cannot be read, the others can."""
    async with FaultyUpstream("garbage") as server:
        got, _ = await raw(server)
    events = [line[6:] for line in got.decode().splitlines() if line.startswith("data: {")]
    with pytest.raises(json.JSONDecodeError):
        json.loads(events[1])
    json.loads(events[0])


@BOTH
async def test_characters_are_split(dialect: str) -> None:
    """At least one chunk ends inside a character, and the whole is the text."""
    async with FaultyUpstream("split-utf8") as server:
        got, _ = await raw(server, dialect)
    body, chunks = got.partition(b"\r\n\r\n")[2], []
    while size := int(body.partition(b"\r\n")[0], 16):
        body = body.partition(b"\r\n")[2]
        chunks.append(body[:size])
        body = body[size + 2 :]

    def cut(chunk: bytes) -> bool:
        try:
            chunk.decode()
        except UnicodeDecodeError:
            return True
        return False

    assert any(map(cut, chunks))
    said = b"".join(chunks).decode()
    assert all(word in said for word in SENTENCE.split())


async def test_steps_are_taken_in_order_and_the_last_is_repeated() -> None:
    """500, 404, then answers for as long as somebody asks."""
    async with FaultyUpstream("500,404,200", replies=["a", "b"]) as server:
        got = [(await raw(server, stream=False))[0] for _ in range(5)]
    assert [int(reply.split()[1]) for reply in got] == [500, 404, 200, 200, 200]
    said = [
        json.loads(reply.partition(b"\r\n\r\n")[2])["choices"][0]["message"]["content"] for reply in got[2:]
    ]
    assert said == ["a", "b", "a"], "a step that says nothing uses up no reply"


async def test_slow_is_as_slow_as_the_clock() -> None:
    """Nothing comes before first-ms have passed on the clock given; plain slow never answers, till the end."""
    clock = VirtualClock()
    async with FaultyUpstream("slow:first-ms=5000", clock=clock) as server:
        task = asyncio.ensure_future(raw(server, stream=False))
        await server.arrived()
        await clock.advance(4.9)
        assert not task.done()
        await clock.advance(0.1)
        assert b"200 OK" in (await task)[0]
    async with FaultyUpstream("slow") as server:
        task = asyncio.ensure_future(raw(server))
        await server.arrived()
    assert (await task)[1] == "closed"


async def test_a_date_to_come_back_is_in_the_future() -> None:
    """retry-after-date: an HTTP date that far ahead of the clock."""
    async with FaultyUpstream("429:retry-after-date=10", clock=VirtualClock(start=1_750_000_000.0)) as server:
        got, _ = await raw(server)
    assert b"retry-after: Sun, 15 Jun 2025 15:06:50 GMT\r\n" in got


async def test_a_storm_enforces_its_limits_and_says_when_to_come_back() -> None:
    """Two requests a window; the third is refused until the first has left it."""
    clock = VirtualClock()
    storm = Storm(rpm=2)
    async with FaultyUpstream(storm=storm, clock=clock) as server:
        got = [(await raw(server, stream=False))[0] for _ in range(3)]
        assert [int(reply.split()[1]) for reply in got] == [200, 200, 429]
        assert b"retry-after-ms: 60000" in got[2]
        await clock.advance(60)
        assert b"200 OK" in (await raw(server, stream=False))[0]
    assert storm.refused == 1


def test_tokens_of_a_storm_are_prompt_and_budget() -> None:
    """A request counts what it may use, as real servers count it."""
    storm = Storm(tpm=100)
    asked = Received(0, "POST", "/v1/chat/completions", {}, {"messages": [], "max_tokens": 60})
    assert storm.retry_after_s(asked, 0.0) is None
    assert storm.retry_after_s(asked, 10.0) == 50.0
    assert storm.retry_after_s(asked, 60.0) is None


async def test_replies_may_follow_from_the_request() -> None:
    """A function sees what was asked."""
    async with FaultyUpstream(replies=lambda asked: Reply(text=asked.body["model"])) as server:
        got, _ = await raw(server, stream=False, model="echo me")
    assert b'"content": "echo me"' in got


def test_an_empty_plan_is_refused() -> None:
    """No step would leave the first request without an answer."""
    with pytest.raises(InvalidInput, match="at least one step"):
        FaultyUpstream(())
