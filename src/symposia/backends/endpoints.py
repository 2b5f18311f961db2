"""Routing by model address: `endpoint:name` to a declared endpoint, everything else to the local engine.

Each backend is built once, when it is first needed, so that declaring an endpoint costs nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping

from symposia.core.models import resolve
from symposia.core.request import Backend, Item, ModelCard, Prompt, Request

from .endpoint import BUILT_IN

Builder = Callable[[], Backend]
HOSTED = tuple(BUILT_IN)


class Endpoints:
    """A backend over other backends. `table` declares endpoints by name; `local` answers every other address."""

    def __init__(self, table: Mapping[str, Builder], *, local: Builder) -> None:
        self._builders = dict(table)
        self._local = local
        self._built: dict[str | None, Backend] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """The declared endpoints."""
        return tuple(self._builders)

    async def generate(self, request: Request) -> AsyncIterator[Item]:
        """What the address's own backend generates."""
        stream = self._for(request.model).generate(request)
        try:
            async for item in stream:
                yield item
        finally:
            await stream.aclose()  # type: ignore[attr-defined]  # every generate is an async generator

    async def describe(self, model: str) -> ModelCard:
        """The card of the address's own backend."""
        return await self._for(model).describe(model)

    async def render(self, request: Request) -> Prompt:
        """The rendering of the address's own backend."""
        return await self._for(request.model).render(request)

    async def ready(self, model: str) -> None:
        """Raise what would keep a hosted model from being asked: no key, no package. Nothing is sent."""
        from .hosted import Hosted

        backend = self._for(model)
        if isinstance(backend, Hosted):
            await backend.ready()

    async def aclose(self) -> None:
        """Close what the running loop holds open to hosted endpoints."""
        from .hosted import Hosted

        for backend in self._built.values():
            if isinstance(backend, Hosted):
                await backend.aclose()

    def _for(self, model: str) -> Backend:
        address = resolve(model, self._builders)
        key = address.endpoint if address.source == "endpoint" else None
        if key not in self._built:
            self._built[key] = self._local() if key is None else self._builders[key]()
        return self._built[key]
