"""The ASGI application: one look-up by path and method, and the life of the server around it."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping
from difflib import get_close_matches

from symposia.core.clock import Clock
from symposia.core.request import Backend
from symposia.store import Storage

from . import health
from .admin.edge import Admin
from .admin.table import PREFIX
from .call import Call, Receive, Scope, Send
from .faults import Fault
from .ledger import Ledger
from .pipeline import Exchange, guarded
from .routes import ELSEWHERE
from .server import Kit, Server
from .settings import Settings

Answering = Callable[[Server, Call], Awaitable[health.Answer]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

CHAT = "/v1/chat/completions"
_MODEL = "/v1/models/"
_HEALTH: Mapping[str, Answering] = {"GET": health.alive, "HEAD": health.alive}
_READY: Mapping[str, Answering] = {"GET": health.ready, "HEAD": health.ready}
ROUTES: Mapping[str, Mapping[str, Answering]] = {
    "/healthz": _HEALTH,
    "/readyz": _READY,
    "/metrics": {"GET": health.measured},
    "/openapi.json": {"GET": health.documented},
    "/v1/models": {"GET": health.listed},
}
_ONE_MODEL: Mapping[str, Answering] = {"GET": health.one}


def app(
    settings: Settings, *, backends: Mapping[str, Backend], storage: Storage, ledger: Ledger, clock: Clock
) -> App:
    """A server of these models. Raises `InvalidInput` where what is stored cannot be served."""
    kit = Kit(backends=backends, storage=storage, ledger=ledger, clock=clock, random=os.urandom)
    return App(Server(settings, kit))


class App:
    """Pure ASGI. `mounted` are applications for everything at and below a path."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.mounted: dict[str, ASGIApp] = {PREFIX: Admin(server)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; or live through the server's life."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1000})
            return
        server, path = self.server, scope["path"]
        if path == CHAT and scope["method"] == "POST":
            call = Call(scope, receive, send, began=server.clock.monotonic(), own_id=server.request_id())
            await Exchange(server, call).run()
            return
        for prefix, mounted in self.mounted.items():
            if path == prefix or path.startswith(f"{prefix}/"):
                await mounted(scope, receive, send)
                return
        call = Call(scope, receive, send, began=server.clock.monotonic(), own_id=server.request_id())
        await guarded(server, call, _routed)

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await self.server.start()
                await send({"type": "lifespan.startup.complete"})
            else:
                await self.server.stop()
                await send({"type": "lifespan.shutdown.complete"})
                return


async def _routed(server: Server, call: Call) -> health.Answer:
    """The answer of any path but chat."""
    path = call.path
    methods = ROUTES.get(path)
    if methods is None and path.startswith(_MODEL):
        methods = _ONE_MODEL
    if methods is None and path == CHAT:
        methods = {"POST": health.alive}  # asked with another method, or it would not have come here
    if methods is None:
        raise _nothing_at(path)
    answering = methods.get(call.method)
    if answering is None:
        allowed = ", ".join(methods)
        raise Fault(
            "method_not_allowed",
            f"{call.method} {path[:200]}: expected {allowed}",
            headers=(("allow", allowed),),
        )
    return await answering(server, call)


def _nothing_at(path: str) -> Fault:
    if path in ELSEWHERE:
        return Fault(
            "unsupported_endpoint", f"{path}: a raw prompt is not a turn; use {CHAT}, which takes messages"
        )
    near = get_close_matches(path, (CHAT, *ROUTES), n=1, cutoff=0.0)
    return Fault("unknown_url", f"there is nothing at {path[:200]!r}; the nearest is {near[0]}")
