"""Granian in uvicorn's place, in this process and on this loop: `--server granian`."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

from symposia.core.errors import InvalidInput

from .assembled import Assembled
from .cors import with_cors


def run_granian(ready: Assembled) -> int:
    """Serve until a signal, then run dry; exit 0."""
    import uvloop

    try:
        uvloop.run(_serve(ready))
    except ModuleNotFoundError as error:
        raise InvalidInput("--server granian needs granian: pip install 'symposia[granian]'") from error
    return 0


async def _serve(ready: Assembled) -> None:
    from granian.constants import Interfaces
    from granian.server.embed import Server

    settings, drain = ready.server.settings, ready.server.drain
    server = Server(
        with_cors(ready.app, settings),
        address=settings.host,
        port=settings.port,
        interface=Interfaces.ASGI,
        websockets=False,
        log_enabled=False,
        ssl_cert=None if settings.tls_cert is None else Path(settings.tls_cert),
        ssl_key=None if settings.tls_key is None else Path(settings.tls_key),
    )
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    serving = asyncio.ensure_future(server.serve())
    waiting = asyncio.ensure_future(told.wait())
    await asyncio.wait((serving, waiting), return_when=asyncio.FIRST_COMPLETED)
    if told.is_set():
        drain.begin("signal")
        await drain.run_dry(settings.drain_s)
        server.stop()  # type: ignore[no-untyped-call]
    waiting.cancel()
    await serving
