"""Relays to a server on loopback, and what they said of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from msgspec.structs import replace

from symposia.backends.policy import Timeouts
from symposia.backends.relay import Relay
from symposia.core.clock import SystemClock
from symposia.core.redact import Secret
from symposia.core.request import About, Completion, Delta, Item, Request
from symposia.testing.backends import plain_request
from symposia.testing.faults import PLANTED_KEY, FaultyUpstream

SHORT = Timeouts(connect_s=0.3, first_delta_s=0.3, idle_s=0.3, total_s=20.0)
MODES = (True, False)


@asynccontextmanager
async def relay(server: FaultyUpstream | str, **options: object) -> AsyncIterator[Relay]:
    """A relay to the server, closed at the end of the block."""
    url = server if isinstance(server, str) else server.base_url
    key = options.pop("key", Secret(PLANTED_KEY))
    timeouts = options.pop("timeouts", Timeouts())
    backend = Relay(url, key, timeouts, SystemClock(), **options)
    try:
        yield backend
    finally:
        await backend.aclose()


def asking(model: str = "gpt-x", *, streamed: bool = True, **changes: object) -> Request:
    """A plain request, streamed or whole."""
    request = plain_request(f"upstream:{model}", 64)
    return replace(request, about=About(streamed=streamed), **changes)


async def items_of(backend: Relay, request: Request) -> list[Item]:
    """Everything one generation yields."""
    return [item async for item in backend.generate(request)]


async def whole(backend: Relay, request: Request) -> Completion:
    """The completion of one generation, which the deltas of its answer spelled."""
    *deltas, last = await items_of(backend, request)
    assert isinstance(last, Completion)
    said = [d.text for d in deltas if isinstance(d, Delta) and d.phase == "answer"]
    assert "".join(said) == last.text
    return last
