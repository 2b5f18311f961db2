"""The backends of a server's models: built when they are first asked, beside the loop that goes on answering."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from symposia.backends.keys import read_key
from symposia.backends.policy import Timeouts
from symposia.core.clock import Clock
from symposia.core.errors import InvalidInput, UnknownName
from symposia.core.models import resolve
from symposia.core.redact import Secret
from symposia.core.request import Backend, Item, ModelCard, Prompt, Request
from symposia.serve.server import Closer
from symposia.serve.settings import Settings

if TYPE_CHECKING:
    from symposia.backends.endpoints import Endpoints
    from symposia.backends.openai.flavours import Name as Flavour
    from symposia.backends.relay import Relay

UPSTREAM_KEY = "INFERENCE_API_KEY"
RECORDED = "replay:"
Unknown = Callable[[str], None]


Built = tuple[Backend, Callable[[], None]]
"""A backend, and what lets go of its threads and files."""


class Backends(NamedTuple):
    """Backends by the names of their models, and what lets go of them."""

    named: dict[str, Backend]
    closers: tuple[Closer, ...]


class Beside:
    """A backend that a thread builds when it is first needed: imports and weights do not hold up the loop."""

    def __init__(self, build: Callable[[], Built]) -> None:
        self._build = build
        self._built: Backend | None = None
        self._close: Callable[[], None] = lambda: None
        self._lock = asyncio.Lock()

    async def describe(self, model: str) -> ModelCard:
        """The card, once there is somebody to ask."""
        return await (await self._ready()).describe(model)

    async def render(self, request: Request) -> Prompt:
        """The rendering of what was built."""
        return await (await self._ready()).render(request)

    def generate(self, request: Request) -> AsyncIterator[Item]:
        """What was built generates."""
        return self._later(request) if self._built is None else self._built.generate(request)

    async def _later(self, request: Request) -> AsyncIterator[Item]:
        stream = (await self._ready()).generate(request)
        try:
            async for item in stream:
                yield item
        finally:
            await stream.aclose()  # type: ignore[attr-defined]  # every generate is an async generator

    async def aclose(self) -> None:
        """Close what was built."""
        await asyncio.to_thread(self._close)

    async def _ready(self) -> Backend:
        async with self._lock:
            if self._built is None:
                built, self._close = await asyncio.to_thread(self._build)
                self._built = built
            return self._built


def backends_of(settings: Settings, env: Mapping[str, str], clock: Clock, *, unknown: Unknown) -> Backends:
    """A backend for every name served. Local models share one engine room, relayed ones one pool of connections."""
    local = Beside(lambda: _engines(settings))
    hosted: Endpoints | None = None
    closers: list[Closer] = [local.aclose]
    found: dict[str, Backend] = {}
    for model in settings.served:
        if _is_local(model.address):
            found[model.name] = local
        elif model.address.startswith(RECORDED):
            found[model.name] = _recordings(model.address, settings, clock)
        else:
            hosted = hosted or _endpoints(env)
            found[model.name] = hosted
    if hosted is not None:
        closers.append(hosted.aclose)
    if settings.upstream is not None:
        relay = relay_of(settings, env, clock, unknown=unknown)
        for name in settings.only:
            if name in found:
                raise InvalidInput(f"model {name!r} is named twice: by --model and among the upstream's")
            found[name] = relay
        closers.append(relay.aclose)
    return Backends(found, tuple(closers))


def relay_of(
    settings: Settings, env: Mapping[str, str], clock: Clock, *, unknown: Unknown = lambda _: None
) -> Relay:
    """The upstream as a backend."""
    from symposia.backends.relay import Relay

    assert settings.upstream is not None
    timeouts = Timeouts(
        connect_s=settings.connect_s,
        first_delta_s=settings.first_token_s,
        idle_s=settings.idle_s,
        total_s=settings.total_s,
    )
    key, flavour = upstream_key(settings, env), _flavour(settings)
    return Relay(settings.upstream, key, timeouts, clock, flavour=flavour, unknown=unknown)


def upstream_key(settings: Settings, env: Mapping[str, str]) -> Secret | None:
    """The upstream's key, if one is set."""
    if settings.upstream_key is None and not env.get(UPSTREAM_KEY):
        return None
    source = settings.upstream_key or f"env:{UPSTREAM_KEY}"
    return read_key(source, endpoint="upstream", usual=UPSTREAM_KEY, env=env)


def _flavour(settings: Settings) -> Flavour | None:
    from symposia.backends.openai.flavours import FLAVOURS

    told = settings.upstream_flavour
    found = next((name for name in FLAVOURS if name == told), None)
    if told is not None and found is None:
        raise UnknownName("upstream_flavour", told, FLAVOURS)
    return found


def _recordings(address: str, settings: Settings, clock: Clock) -> Backend:
    """Read at the start, so that a file that is none is told before anybody asks."""
    from symposia.backends.replay import Replay

    return Replay.read(Path(address.removeprefix(RECORDED)), clock, pace=settings.pace)


def _is_local(address: str) -> bool:
    from symposia.backends.endpoints import HOSTED

    return resolve(address, (*HOSTED, "scripted", "replay")).source != "endpoint"


def _engines(settings: Settings) -> Built:
    from symposia.engine import Engines
    from symposia.interp.library import Library

    engines = Engines(library=Library(settings.vectors))
    return engines, engines.close


def _endpoints(env: Mapping[str, str]) -> Endpoints:
    from symposia.cli.endpoints import backend_for_addresses

    return backend_for_addresses(env, Path.cwd())
