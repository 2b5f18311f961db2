"""`python load.py`: a load in a process of its own. Orders on standard input, answers on standard output, JSON lines.

An order: `port`, `key`, `model`, `stream`, `tokens`, `seconds`, and either `rate` (open loop: requests come as a
Poisson process whether or not the server keeps up, and latency counts from the moment one was meant to be sent), or
`at_once` (closed loop: so many connections, each sending again when answered), or `hold` (so many streams, kept open
until the next order). An answer: times in microseconds, errors, pieces.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import uvloop

MARK = b"word"
_DRAIN_S = 5.0
Done = Callable[["Connection", bool], None]


@dataclass
class Result:
    """What was seen."""

    latencies_us: list[int] = field(default_factory=list)
    first_us: list[int] = field(default_factory=list)
    errors: int = 0
    unanswered: int = 0
    pieces: int = 0
    late_us: list[int] = field(default_factory=list)


class Connection(asyncio.Protocol):
    """One request at a time, kept alive."""

    def __init__(self, closed: Callable[[Connection], None]) -> None:
        self._closed = closed
        self._held = bytearray()
        self._done: Done | None = None
        self.first: float | None = None
        self.transport: Any = None  # uvloop's are no asyncio.Transport
        self.begun = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        self._closed(self)
        self._finish(ok=False)

    def ask(self, raw: bytes, done: Done) -> None:
        """Send a request; `done` hears whether it was answered whole."""
        self._held.clear()
        self.first, self._done = None, done
        self.transport.write(raw)

    def data_received(self, data: bytes) -> None:
        held = self._held
        held += data
        if self.first is None and MARK in held:
            self.first = time.perf_counter()
            self.begun.set()
        end = held.find(b"\r\n\r\n")
        if end < 0:
            return
        head = bytes(held[:end]).lower()
        at = head.find(b"content-length:")
        if at >= 0:
            whole = len(held) >= end + 4 + int(head[at + 15 :].split(b"\r\n", 1)[0])
        else:
            whole = held.endswith(b"\r\n0\r\n\r\n")
        if whole:
            streamed = b"text/event-stream" in head
            self._finish(ok=head.startswith(b"http/1.1 200") and (not streamed or b"[DONE]" in held))

    @property
    def pieces(self) -> int:
        """How many times the upstream's word came."""
        return self._held.count(MARK)

    def _finish(self, *, ok: bool) -> None:
        done, self._done = self._done, None
        if done is not None:
            done(self, ok)


class Load:
    """Connections to one server, and what is asked of it."""

    def __init__(self, asked: dict[str, Any]) -> None:
        self._asked = asked
        self._idle: list[Connection] = []
        self._all: set[Connection] = set()
        self._open, self._answered = 0, asyncio.Event()
        self.result = Result()
        body = json.dumps(
            {
                "model": asked["model"],
                "messages": [
                    {"role": "system", "content": "You are brief."},
                    {"role": "user", "content": "Why is the sky blue at noon and red in the evening?"},
                ],
                "max_tokens": asked["tokens"],
                "temperature": 0.5,
                **({"stream": True, "stream_options": {"include_usage": True}} if asked["stream"] else {}),
            }
        ).encode()
        head = (
            f"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1:{asked['port']}\r\n"
            f"authorization: Bearer {asked['key']}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\n\r\n"
        )
        self._raw = head.encode() + body

    async def open(self, count: int) -> None:
        """So many connections more."""
        loop = asyncio.get_running_loop()
        for _ in range(count):
            _, made = await loop.create_connection(
                lambda: Connection(self._lost), "127.0.0.1", self._asked["port"]
            )
            self._idle.append(made)
            self._all.add(made)

    def _lost(self, connection: Connection) -> None:
        self._all.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)

    def close(self) -> None:
        """Let go of all."""
        for each in list(self._all):
            if each.transport is not None:
                each.transport.abort()

    async def rate(self, per_s: float, seconds: float, seed: int) -> None:
        """Open loop."""
        await self.open(8)
        rng, loop = random.Random(seed), asyncio.get_running_loop()
        pending: set[asyncio.Task[None]] = set()
        began = time.perf_counter() + 0.05
        due, shift = began, loop.time() - time.perf_counter()
        ended = loop.create_future()
        while (due := due + rng.expovariate(per_s)) < began + seconds:
            loop.call_at(due + shift, self._send, due, pending)
        loop.call_at(began + seconds + shift, ended.set_result, None)
        await ended
        if self._open:
            self._answered.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._answered.wait(), _DRAIN_S)
        self.result.unanswered = self._open

    def _send(self, due: float, pending: set[asyncio.Task[None]]) -> None:
        self._open += 1
        self.result.late_us.append(round((time.perf_counter() - due) * 1e6))
        if self._idle:
            self._one(self._idle.pop(), due)
            return
        task = asyncio.ensure_future(self._fresh(due))
        pending.add(task)
        task.add_done_callback(pending.discard)

    async def _fresh(self, due: float) -> None:
        await self.open(1)
        self._one(self._idle.pop(), due)

    def _one(self, connection: Connection, due: float) -> None:
        def done(held: Connection, ok: bool) -> None:
            self._note(held, ok, due)
            self._less()
            if held.transport is not None:
                self._idle.append(held)

        connection.ask(self._raw, done)

    def _less(self) -> None:
        self._open -= 1
        if not self._open:
            self._answered.set()

    def _note(self, held: Connection, ok: bool, due: float) -> None:
        if not ok:
            self.result.errors += 1
            return
        self.result.latencies_us.append(round((time.perf_counter() - due) * 1e6))
        if held.first is not None:
            self.result.first_us.append(round((held.first - due) * 1e6))
        self.result.pieces += held.pieces

    async def at_once(self, count: int, seconds: float) -> None:
        """Closed loop; who is still waiting at the end is waited for."""
        await self.open(count)
        until = time.perf_counter() + seconds
        self._open = count

        def again(held: Connection, ok: bool, began: float) -> None:
            self._note(held, ok, began)
            if held.transport is None or time.perf_counter() >= until:
                self._less()
                return
            send(held)

        def send(held: Connection) -> None:
            began = time.perf_counter()
            held.ask(self._raw, lambda same, ok: again(same, ok, began))

        for each in list(self._idle):
            send(each)
        await asyncio.wait_for(self._answered.wait(), seconds + 60)

    async def hold(self, count: int) -> None:
        """Streams that say one piece; all have when this returns."""
        await self.open(count)
        for each in list(self._idle):
            each.ask(self._raw, _nothing)
            await asyncio.sleep(0.002)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.gather(*(each.begun.wait() for each in self._all)), 60)
        self.result.pieces = sum(each.first is not None for each in self._all)


def _nothing(held: Connection, ok: bool) -> None:
    del held, ok


async def answer(asked: dict[str, Any], held: list[Load]) -> dict[str, Any]:
    """One order, carried out. What the last one held is let go first."""
    while held:
        held.pop().close()
    load, began = Load(asked), time.perf_counter()
    try:
        if "rate" in asked:
            await load.rate(asked["rate"], asked["seconds"], asked["seed"])
        elif "at_once" in asked:
            await load.at_once(asked["at_once"], asked["seconds"])
        else:
            await load.hold(asked["hold"])
    finally:
        if "hold" in asked:
            held.append(load)
        else:
            load.close()
    return {**vars(load.result), "wall_s": time.perf_counter() - began}


async def main() -> None:
    """Answer until standard input ends."""
    held: list[Load] = []
    while line := await asyncio.to_thread(sys.stdin.readline):
        asked = json.loads(line)
        if "seconds" not in asked and "hold" not in asked:
            while held:
                held.pop().close()
            print(json.dumps({}), flush=True)
            continue
        print(json.dumps(await answer(asked, held)), flush=True)


if __name__ == "__main__":
    uvloop.run(main())
