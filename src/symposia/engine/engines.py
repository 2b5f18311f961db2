"""Many local models behind one backend: each address gets its engine when first asked."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator
from typing import Self

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from symposia.core.models import resolve
from symposia.core.request import Completion, Delta, ModelCard, Prompt, Request
from symposia.interp.acts.store import ActivationStore
from symposia.interp.library import Library

from .engine import Engine
from .loading import adopt
from .options import EngineOptions


class Engines:
    """Implements `core.request.Backend`. All engines share one library and one activation store.

    An address is loaded once: what changes on disk later is not seen. `trust_remote_code` lets checkpoints run Python
    code of their own.
    """

    def __init__(
        self,
        *,
        library: Library | None = None,
        store: ActivationStore | None = None,
        options: EngineOptions = EngineOptions(),
        trust_remote_code: bool = False,
    ) -> None:
        self.library = Library() if library is None else library
        self.store = ActivationStore.memory() if store is None else store
        self._options, self._trusts = options, trust_remote_code
        self._engines: dict[str, Engine] = {}
        self._locks: dict[str, threading.Lock] = {}
        self._guard = threading.Lock()

    def add(self, engine: Engine) -> str:
        """Serve an engine built elsewhere under its address; closed with the rest."""
        self._engines[engine.address] = engine
        return engine.address

    def adopt(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, name: str = "model") -> str:
        """Serve a pair already in memory; its address, the same for the same weights and name."""
        loaded = adopt(model, tokenizer, name)
        with self._guard:
            if loaded.address not in self._engines:
                self._engines[loaded.address] = Engine(
                    loaded, library=self.library, store=self.store, options=self._options
                )
        return loaded.address

    def engine(self, address: str) -> Engine:
        """The engine of an address, loaded if it is not yet. Blocks while loading."""
        name = resolve(address).canonical
        with self._guard:
            lock = self._locks.setdefault(name, threading.Lock())
        with lock:
            if name not in self._engines:
                self._engines[name] = Engine.load(
                    address,
                    library=self.library,
                    store=self.store,
                    options=self._options,
                    trust_remote_code=self._trusts,
                )
            return self._engines[name]

    async def generate(self, request: Request) -> AsyncGenerator[Delta | Completion, None]:
        """As the engine of `request.model` does."""
        pieces = (await self._ready(request.model)).generate(request)
        try:
            async for piece in pieces:
                yield piece
        finally:
            await pieces.aclose()

    async def describe(self, model: str) -> ModelCard:
        """The card of a model, loaded if it is not yet."""
        return await (await self._ready(model)).describe(model)

    async def render(self, request: Request) -> Prompt:
        """The exact prompt."""
        return await (await self._ready(request.model)).render(request)

    def close(self) -> None:
        """Close every engine."""
        for engine in self._engines.values():
            engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    async def _ready(self, address: str) -> Engine:
        found = self._engines.get(resolve(address).canonical)
        return found if found is not None else await asyncio.to_thread(self.engine, address)
