"""Routing by model address: `endpoint:name` to a declared endpoint, everything else to the local engine.

Each backend is built once, when it is first needed, so that declaring an endpoint costs nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping

from symposia.core.errors import UnsupportedRequest
from symposia.core.models import resolve
from symposia.core.request import Backend, Item, ModelCard, Prompt, Request

Builder = Callable[[], Backend]
HOSTED = ("openai", "anthropic", "openrouter", "ollama", "vllm", "sglang")


class Endpoints:
    """A backend over other backends. `table` declares endpoints by name; `local` answers every other address."""

    def __init__(self, table: Mapping[str, Builder], *, local: Builder) -> None:
        self._builders = {**{name: _not_here(name) for name in HOSTED}, **table}
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

    def _for(self, model: str) -> Backend:
        address = resolve(model, self._builders)
        key = address.endpoint if address.source == "endpoint" else None
        if key not in self._built:
            self._built[key] = self._local() if key is None else self._builders[key]()
        return self._built[key]


def _not_here(name: str) -> Builder:
    def build() -> Backend:
        raise UnsupportedRequest(
            endpoint=name,
            model=f"{name}:…",
            feature="hosted models",
            way_out="use a local model; this version speaks to no hosted endpoint yet",
        )

    return build
