"""Listening, and ending well: a signal drains the server, a second one ends it at once."""

from __future__ import annotations

import asyncio
import gc
from types import FrameType

import uvicorn

from symposia.cli.world import World
from symposia.serve.app import App
from symposia.serve.heard import heard
from symposia.serve.http11 import Http11
from symposia.serve.settings import Settings

from .assembled import Assembled
from .cors import with_cors

BANNER = (
    "INSECURE: --insecure-dev is on. Whoever reaches this port may do everything. "
    "It answers this machine only; never put it behind a proxy."
)
_BACKLOG = 2048
_YOUNG = 10_000  # objects between two looks for cycles; a request leaves few


class Draining(uvicorn.Server):
    """Uvicorn, which takes SIGTERM and SIGINT as: take nothing new, let what runs end, then exit 0."""

    def __init__(self, config: uvicorn.Config, app: App) -> None:
        super().__init__(config)
        self._app = app
        self._told = 0
        self._dry: asyncio.Task[None] | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Not more than noted here: the loop looks ten times a second."""
        del sig, frame
        self._told += 1

    async def on_tick(self, counter: int) -> bool:
        """Act on signals."""
        server = self._app.server
        if self._told and self._dry is None:
            server.drain.begin("signal")
            self._dry = asyncio.ensure_future(server.drain.run_dry(server.settings.drain_s))
        if self._told > 1 or (self._dry is not None and self._dry.done()):
            self.should_exit = True
        return await super().on_tick(counter)


def run(ready: Assembled, world: World) -> int:
    """Serve until told to end. Exit 0 after a drain, 3 where nobody could listen."""
    settings = ready.server.settings
    if settings.insecure_dev:
        world.err.always(BANNER, "bold red")
    gc.collect()
    gc.freeze()  # what is there now stays: the collector need not walk it again and again
    gc.set_threshold(_YOUNG, 20, 20)
    with heard(ready.log):
        if settings.server == "granian":
            from .granian import run_granian

            return run_granian(ready)
        return _run_uvicorn(ready, settings)


def _run_uvicorn(ready: Assembled, settings: Settings) -> int:
    config = uvicorn.Config(
        with_cors(ready.app, settings),
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http=Http11,
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,  # nothing here asks who is in front of us
        date_header=True,
        backlog=_BACKLOG,
        ssl_certfile=settings.tls_cert,
        ssl_keyfile=settings.tls_key,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=5,
    )
    server = Draining(config, ready.app)
    server.run()
    return 0 if server.started else 3
