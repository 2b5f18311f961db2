"""The standing upstream: faults by the model's name, what it was asked, who hung up."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from symposia.core.errors import InvalidInput
from symposia.testing.faults import MATRIX, SENTENCE, FaultyUpstream, Step
from symposia.testing.faults.matrix import steps_of
from tests.testing.faults.test_server import raw

NAMES = [row.name for row in MATRIX]
ENDS = {
    # name: how the connection ends, what came, what did not
    "silence": ("hangs", b"", b"HTTP"),
    "stall": ("hangs", b" aus", b"[DONE]"),
    "hangup": ("closed", b"", b"HTTP"),
    "drop": ("closed", b" aus", b"\r\n0\r\n\r\n"),
    "eof": ("open", b" aus", b"[DONE]"),
    "error": ("open", b"[DONE]", b'"finish_reason": "stop"'),
    "garbage": ("open", b'{"con\n\n', b"HTTP/1.1 500"),
    "no-finish": ("open", b"[DONE]", b'"finish_reason": "stop"'),
    "no-done": ("open", b'"finish_reason": "stop"', b"[DONE]"),
    "no-usage": ("open", b"[DONE]", b"prompt_tokens"),
    "cut-json": ("open", b'{"choices": [{"index"', b"text/event-stream"),
    "empty": ("open", b"content-length: 0", b"data:"),
    "chatter": ("open", b"event: heartbeat\ndata: still here\n\n", b"HTTP/1.1 500"),
}


def test_names_are_told_apart() -> None:
    """Twenty-two rows, each once, each with words of its own; any step of a plan is a name."""
    assert len(set(NAMES)) == len({row.does for row in MATRIX}) == 22
    assert steps_of("gpt-x") is None
    assert steps_of("fault-429:retry-after=1") == (
        Step(kind="status", status=429, headers=(("retry-after", "1"),)),
    )
    for wrong in ("fault-nonsense", "fault-connect-refused"):
        with pytest.raises(InvalidInput):
            steps_of(wrong)


@pytest.mark.parametrize("name", ENDS)
async def test_each_fault_is_what_it_says(name: str) -> None:
    """Streamed: what comes before it, how the connection ends."""
    ended, has, lacks = ENDS[name]
    async with FaultyUpstream() as server:
        asking = asyncio.ensure_future(raw(server, model=f"fault-{name}"))
        if ended == "hangs":
            await server.arrived()
            done, _ = await asyncio.wait((asking,), timeout=0.1)
            assert not done
            assert server.open == 1
            await server.aclose()
        got, end = await asking
    assert end == ("closed" if ended == "hangs" else ended)
    assert has in got
    assert lacks not in got


@pytest.mark.parametrize("stream", [True, False])
async def test_the_gentle_ones_lose_nothing(stream: bool) -> None:
    """Comments and single bytes: every word is there, in single bytes too."""
    for name in ("chatter", "bytewise"):
        async with FaultyUpstream() as server:
            got, _ = await raw(server, model=f"fault-{name}", stream=stream)
        if name == "bytewise" and stream:
            assert got.count(b"\r\n1\r\n") > 100
            got = got.replace(b"\r\n1\r\n", b"")
        assert all(word.encode() in got for word in SENTENCE.split())


async def test_a_model_takes_no_step_of_the_plan() -> None:
    """The others are answered in order, as if it had not asked; attempts are counted by model."""
    async with FaultyUpstream("500,200", replies=["a", "b"]) as server:
        statuses = []
        for model in ("fault-auth", "m", "fault-quota", "m", "fault-quota"):
            got, _ = await raw(server, stream=False, model=model)
            statuses.append(int(got.split()[1]))
        assert statuses == [401, 500, 429, 200, 429]
        assert server.attempts == {"fault-auth": 1, "m": 2, "fault-quota": 2}


async def test_a_fault_that_nobody_knows_is_a_model_that_is_not_there() -> None:
    """A word misspelt does not look like an answer."""
    async with FaultyUpstream() as server:
        got, _ = await raw(server, stream=False, model="fault-nothing-like-it")
    assert got.split()[1] == b"404"
    assert b"model_not_found" in got


async def test_a_client_that_hangs_up_is_noticed_at_once() -> None:
    """In the middle of a stall: counted, and nothing is left open."""
    async with FaultyUpstream() as server:
        for name in ("silence", "stall"):
            await hang_up(server, f"fault-{name}")
        async with asyncio.timeout(1):
            await server.abandoned(2)
        assert (server.left, server.open) == (2, 0)


async def hang_up(server: FaultyUpstream, model: str) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", server.port)
    body = json.dumps({"model": model, "stream": True}).encode()
    writer.write(
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body) + body
    )
    n = len(server.received)
    await server.arrived(n + 1)
    writer.close()
    await writer.wait_closed()


@contextmanager
def standing(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command, and the address it prints."""
    command = [sys.executable, "-m", "symposia.testing.faults", "--serve", "0", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ)) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline().split()[0]
        finally:
            process.kill()


def ask(url: str, body: dict[str, object] | None = None, method: str | None = None) -> dict[str, object]:
    raw_body = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, raw_body, method=method)
    with urllib.request.urlopen(request, timeout=10) as reply:
        answer: dict[str, object] = json.load(reply)
        return answer


def test_the_command_stands_until_it_is_told_to_go() -> None:
    """It lists every fault, tells what it was asked, forgets it when told, and ends with 0 at SIGTERM."""
    with standing() as (process, url):
        listed = [model["id"] for model in ask(f"{url}/models")["data"]]
        assert listed == ["gpt-x", "claude-x", *(f"fault-{name}" for name in NAMES)]
        for _ in range(3):
            ask(f"{url}/chat/completions", {"model": "gpt-x", "messages": []})
        root = url.removesuffix("/v1")
        told = ask(f"{root}/faults")
        assert told["attempts"] == {"gpt-x": 3}
        assert (told["open"], told["left"], len(told["received"])) == (0, 0, 3)
        ask(f"{root}/faults", method="DELETE")
        assert ask(f"{root}/faults")["attempts"] == {}
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


def test_a_plan_is_for_the_ordinary_models() -> None:
    """As everywhere else."""
    with standing("--plan", "500,200") as (_, url):
        with pytest.raises(urllib.error.HTTPError, match="500"):
            ask(f"{url}/chat/completions", {"model": "gpt-x"})
        assert ask(f"{url}/chat/completions", {"model": "gpt-x"})["choices"]


def test_a_port_that_is_taken_is_told() -> None:
    """One line, exit 2; and a command and a port exclude each other."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        for arguments, words in (
            (("--serve", str(taken.getsockname()[1])), "error: "),
            (("--serve", "0", "--", "true"), "--serve PORT"),
        ):
            done = subprocess.run(
                [sys.executable, "-m", "symposia.testing.faults", *arguments],
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            assert done.returncode == 2
            assert words in done.stderr
            assert "Traceback" not in done.stderr
