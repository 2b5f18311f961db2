"""A server under test: the application behind a real uvicorn on loopback, in a thread of its own."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Mapping
from typing import Self

import uvicorn
from openai import OpenAI

from symposia.backends import Scripted
from symposia.core.clock import SystemClock
from symposia.core.redact import Redactor
from symposia.core.request import Backend
from symposia.core.served import RequestServed, ServerEvent
from symposia.serve.app import App
from symposia.serve.http11 import Http11
from symposia.serve.ledger import Ledger
from symposia.serve.ledger.memory import MemoryLedger
from symposia.serve.server import Kit, Server
from symposia.serve.settings import Model, Settings
from symposia.store import Storage, opened


class Serving:
    """`with Serving({"m": backend}) as serving`: `serving.url` is what clients take as base URL.

    `events` are those emitted, in order; `calls` what the reporter was told.
    """

    def __init__(
        self,
        backends: Mapping[str, Backend],
        *,
        storage: Storage | None = None,
        ledger: Ledger | None = None,
        redactor: Redactor | None = None,
        addresses: Mapping[str, str] | None = None,
        **settings: object,
    ) -> None:
        clock = SystemClock()
        named = {"insecure_dev": True, "drain_s": 0.5, **settings}
        models = tuple(
            Model(name=name, address=(addresses or {}).get(name, f"scripted:{name}")) for name in backends
        )
        self.storage = storage or opened("memory", clock=clock)
        self.ledger = ledger or MemoryLedger(clock)
        self.events: list[ServerEvent] = []
        self._clients: list[OpenAI] = []
        self.failures: list[tuple[str, BaseException]] = []
        kit = Kit(
            backends=backends,
            storage=self.storage,
            ledger=self.ledger,
            clock=clock,
            random=os.urandom,
            redactor=redactor or Redactor({}),
            listeners=(lambda _, event: self.events.append(event),),
            reporters=(lambda request_id, error: self.failures.append((request_id, error)),),
        )
        self.app = App(Server(Settings(models=models, **named), kit))  # type: ignore[arg-type]
        config = uvicorn.Config(
            self.app,
            port=0,
            loop="uvloop",
            http=Http11,
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
        )
        self._uvicorn = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._uvicorn.run, daemon=True)

    @property
    def server(self) -> Server:
        return self.app.server

    @property
    def port(self) -> int:
        port: int = self._uvicorn.servers[0].sockets[0].getsockname()[1]
        return port

    @property
    def root(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.root}/v1"

    @property
    def served(self) -> list[RequestServed]:
        """What was told of requests that ended."""
        return [event for event in self.events if isinstance(event, RequestServed)]

    def settled(self, n: int) -> list[RequestServed]:
        """Wait until `n` requests have ended."""
        until(lambda: len(self.served) >= n)
        return self.served

    def openai(self, key: str = "dev", *, retries: int = 0) -> OpenAI:
        """The real client, closed with the server."""
        made = OpenAI(base_url=self.url, api_key=key, max_retries=retries)
        self._clients.append(made)
        return made

    def run(self, coroutine):
        """Run something in the server's own loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(10)

    def reserved(self) -> int:
        """What is held of every pool of tokens."""
        return sum(standing.reserved for standing in self.run(self.ledger.standings()))

    def __enter__(self) -> Self:
        started = self.server.start

        async def start() -> None:
            self.loop = asyncio.get_running_loop()
            await started()

        self.server.start = start  # type: ignore[method-assign]
        self._thread.start()
        until(lambda: self._uvicorn.started)
        return self

    def __exit__(self, *exc: object) -> None:
        for client in self._clients:
            client.close()
        self._uvicorn.should_exit = True
        self._thread.join(20)
        assert not self._thread.is_alive(), "the server did not end"


def until(condition, timeout_s: float = 10.0) -> None:
    """Wait for a condition another thread makes true."""
    waiting = threading.Event()
    left = timeout_s
    while not condition():
        assert left > 0, "it did not happen in time"
        waiting.wait(0.01)
        left -= 0.01


def scripted(reply: object = "Hello there, how are you today?", **more: object) -> Scripted:
    """A backend that says one thing."""
    return Scripted(reply if callable(reply) else lambda _: reply, **more)  # type: ignore[arg-type, return-value]
