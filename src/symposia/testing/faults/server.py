"""A server on loopback that speaks both protocols and fails as planned: the upstream of our own tests, and of yours."""

from __future__ import annotations

import asyncio
import json
import socket
from collections import Counter
from collections.abc import Sequence
from typing import Self

from symposia.core.clock import Clock, SystemClock
from symposia.core.errors import InvalidInput

from . import chat, messages
from .act import act
from .matrix import steps_of
from .plan import Step, parse_plan
from .reply import Received, Reply, Script, settled, unscripted
from .storm import Storm
from .strict import complaint
from .wire import Connection, Ears, read_request

ASKED_AT = ("/chat/completions", "/messages")
TOLD_AT = "/faults"
"""Where a standing server says what it was asked (GET), and forgets it (DELETE)."""
MOST_TOLD = 100


_SPEECHLESS = ("status", "echo-key", "html", "silence", "empty", "cut-json", "eof-before-headers")


class FaultyUpstream:
    """`async with FaultyUpstream("429,200") as server:` listens on a free port of loopback until the block ends.

    `plan` says what each request for a reply gets, in the order they come (see `parse_plan`); `replies` what is said:
    values in order, or a function of the request; nothing: what the form of the request asks for. `strict` answers 400
    to tool calls without results. `storm` enforces real limits before the plan is consulted. `models` are listed by
    `/v1/models`. A model called `fault-NAME` is always answered in that way of `MATRIX`, and takes no step of the plan.
    `received` records every request, its key too (the last `keeps`, if set); `attempts` counts those for a reply by
    model, `left` those whose client hung up before the end.
    """

    def __init__(
        self,
        plan: str | Sequence[Step] = "200",
        *,
        replies: Script | None = None,
        strict: bool = False,
        storm: Storm | None = None,
        models: Sequence[str] = ("gpt-x", "claude-x"),
        reasoning_field: str = "reasoning",
        clock: Clock | None = None,
    ) -> None:
        self.received: list[Received] = []
        self._plan = parse_plan(plan) if isinstance(plan, str) else tuple(plan)
        if not self._plan:
            raise InvalidInput("a plan needs at least one step; 200 answers every request")
        self._replies, self._strict, self._storm, self._models = replies, strict, storm, tuple(models)
        self._reasoning_field = reasoning_field
        self._clock = clock or SystemClock()
        self._steps = self._answers = 0
        self.attempts: Counter[str] = Counter()
        self.left = self.open = self._came = 0
        self.keeps: int | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._news = asyncio.Event()
        self._socket: socket.socket | None = None
        self._server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        """Where it listens, or where nobody does."""
        assert self._socket is not None, "the server runs inside its `async with`"
        port: int = self._socket.getsockname()[1]
        return port

    @property
    def root_url(self) -> str:
        """What Anthropic's client takes as its base URL."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def base_url(self) -> str:
        """What OpenAI's client takes as its base URL."""
        return f"{self.root_url}/v1"

    @property
    def asked(self) -> list[Received]:
        """The requests for a reply among those received."""
        return [one for one in self.received if one.path.endswith(ASKED_AT)]

    async def arrived(self, n: int = 1) -> None:
        """Wait until `n` requests have come."""
        while len(self.received) < n:
            await self._told()

    async def abandoned(self, n: int = 1) -> None:
        """Wait until the clients of `n` requests have hung up before the end."""
        while self.left < n:
            await self._told()

    async def _told(self) -> None:
        self._news.clear()
        await self._news.wait()

    async def __aenter__(self) -> Self:
        await self.listen()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    async def listen(self, port: int = 0) -> None:
        """Begin, at a port of this machine; 0: a free one. Raises `OSError` where it is taken."""
        self._socket = socket.socket(proto=socket.IPPROTO_TCP)  # so named, asyncio sends small writes at once
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("127.0.0.1", port))
        if self._plan[0].kind != "connect-refused":
            self._server = await asyncio.get_running_loop().create_server(
                lambda: asyncio.StreamReaderProtocol(Ears(), self._connected), sock=self._socket
            )

    async def aclose(self) -> None:
        """End, in the middle of whatever is being answered."""
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._server is not None:
            await self._server.wait_closed()
        assert self._socket is not None
        self._socket.close()

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert isinstance(reader, Ears)
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: Ears, writer: asyncio.StreamWriter) -> None:
        connection = Connection(writer)
        try:
            while not connection.closed and (came := await read_request(reader)) is not None:
                await self._attend(self._record(*came), connection, reader)
        except ConnectionError:
            pass  # the client left: it may
        finally:
            writer.close()

    async def _attend(self, asked: Received, to: Connection, reader: Ears) -> None:
        """Answer for as long as the client is there."""
        task = asyncio.current_task()
        assert task is not None
        gone = False

        def hung_up() -> None:
            nonlocal gone
            gone = gone or task.cancel()

        reader.hung_up = hung_up
        self.open += 1
        try:
            await self._answer(asked, to)
        except ConnectionError:
            self._gone()
            raise
        except asyncio.CancelledError:
            if not gone:
                raise
            task.uncancel()
            self._gone()
        finally:
            reader.hung_up = None
            self.open -= 1

    def _gone(self) -> None:
        self.left += 1
        self._news.set()

    def _record(self, method: str, path: str, headers: dict[str, str], raw: bytes) -> Received:
        try:
            body = json.loads(raw) if raw else {}
        except ValueError:
            body = {}  # answered as a request that asks for nothing
        received = Received(
            self._came, method, path.partition("?")[0], headers, body, self._clock.monotonic()
        )
        self._came += 1
        self.received.append(received)
        if self.keeps is not None:
            del self.received[: -self.keeps]
        if received.path.endswith(ASKED_AT):
            self.attempts[received.model] += 1
        self._news.set()
        return received

    async def _answer(self, asked: Received, to: Connection) -> None:
        dialect = messages if asked.dialect == "anthropic" else chat
        if not asked.path.endswith(ASKED_AT):
            status, body = self._elsewhere(asked)
            return await to.reply(status, body)
        try:
            steps = steps_of(asked.model)
        except InvalidInput as error:
            said = dialect.error(404, message=str(error), kind="not_found_error", code="model_not_found")
            return await to.reply(404, said)
        if self._storm is not None:
            wait_s = self._storm.retry_after_s(asked, self._clock.monotonic())
            if wait_s is not None:
                said = dialect.error(
                    429, message="slow down", kind="rate_limit_error", code="rate_limit_exceeded"
                )
                return await to.reply(429, said, {"retry-after-ms": f"{wait_s * 1000:.0f}"})
        if self._strict and (why := complaint(asked)):
            kind = "invalid_request_error"
            return await to.reply(400, dialect.error(400, message=why, kind=kind, code=""))
        step = self._next() if steps is None else steps[min(self.attempts[asked.model], len(steps)) - 1]
        reply = settled(self._reply(asked, step), asked)
        await act(step, asked, reply, to, clock=self._clock, reasoning_field=self._reasoning_field)
        return None

    def _next(self) -> Step:
        step = self._plan[min(self._steps, len(self._plan) - 1)]
        self._steps += 1
        return step

    def _elsewhere(self, asked: Received) -> tuple[int, object]:
        if asked.path == TOLD_AT:
            return 200, self._tell(forget=asked.method == "DELETE")
        if asked.path.endswith("/models"):
            return 200, {"object": "list", "data": [_card(name) for name in self._models], "has_more": False}
        name = asked.path.rpartition("/models/")[2]
        if name in self._models:
            return 200, _card(name)
        return 404, chat.error(
            404, message=f"nothing at {asked.path}", kind="not_found_error", code="not_found"
        )

    def _tell(self, *, forget: bool) -> dict[str, object]:
        """What was asked so far: attempts by model, requests under way and left, the last of them in full."""
        last = [
            {"path": one.path, "headers": dict(one.headers), "body": one.body}
            for one in self.asked[-MOST_TOLD:]
        ]
        told = {"attempts": dict(self.attempts), "open": self.open - 1, "left": self.left, "received": last}
        if forget:
            self.received.clear()
            self.attempts.clear()
            self.left = self._steps = self._answers = 0
        return told

    def _reply(self, asked: Received, step: Step) -> Reply:
        """What is said. A step that says nothing uses up no reply."""
        if self._replies is None:
            return unscripted(asked)
        if callable(self._replies):
            reply = self._replies(asked)
        else:
            reply = self._replies[self._answers % len(self._replies)]
            self._answers += step.kind not in _SPEECHLESS
        return Reply(text=reply) if isinstance(reply, str) else reply


def _card(name: str) -> dict[str, object]:
    return {
        "id": name,
        "object": "model",
        "type": "model",
        "display_name": name,
        "created": 1_750_000_000,
        "created_at": "2025-06-15T00:00:00Z",
        "owned_by": "symposia",
        "context_window": 32_768,
        "max_model_len": 32_768,
    }
