"""A whole server inside the test's event loop, asked through ASGI: scripted models, a store, keys of every kind."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx2

from symposia.backends.scripted import Scripted
from symposia.core.clock import Clock, SystemClock
from symposia.core.receipt import LayerReceipt, Receipt, TokenCounts
from symposia.core.request import Completion, Request, ServedBy
from symposia.core.usage import Usage
from symposia.core.value import digest
from symposia.serve.app import App, app
from symposia.serve.ledger.memory import MemoryLedger
from symposia.serve.settings import Model, Settings
from symposia.store import Storage, opened
from symposia.store.keys import SCOPES, Grant

PLAIN = {"model": "script:tiny", "system": "Be brief."}
ADD: dict[str, Any] = {"op": "add", "vector": "sha256:" + "1" * 64, "scale": 0.5, "layers": [2]}
STEERED = PLAIN | {"interventions": [ADD]}
HELLO = {"model": "tiny", "messages": [{"role": "user", "content": "hello"}]}


class Office:
    """`ask` sends as a key named by its scope; `secrets` holds them all."""

    def __init__(self, application: App, storage: Storage, client: httpx2.AsyncClient) -> None:
        self.app, self.storage, self.client = application, storage, client
        self.secrets = {
            scope: storage.keys.create(Grant(name=scope, scopes=(scope,)), actor="test")[1].reveal()
            for scope in SCOPES
        }

    async def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        scope: str = "admin",
        headers: Mapping[str, str] | None = None,
        **query: Any,
    ) -> httpx2.Response:
        """Ask the admin API."""
        return await self.client.request(
            method,
            f"/admin/v1{path}",
            json=body,
            params=query or None,
            headers={"authorization": f"Bearer {self.secrets[scope]}", **(headers or {})},
        )

    async def chat(self, **more: object) -> httpx2.Response:
        """Ask the model."""
        bearer = {"authorization": f"Bearer {self.secrets['inference']}"}
        return await self.client.post("/v1/chat/completions", json=HELLO | more, headers=bearer)

    async def profile(self, body: object = PLAIN) -> str:
        """Put a profile; its digest."""
        answer = await self.ask("POST", "/profiles", body)
        assert answer.status_code in (200, 201), answer.text
        digest: str = answer.json()["digest"]
        return digest


def honest(request: Request) -> Completion:
    """Says how many interventions it was asked for, and proves each."""
    receipts = tuple(
        Receipt(
            intervention=digest(one),
            name="warmth",
            op="add",
            vector=ADD["vector"],
            site="resid_post",
            status="applied",
            history="scoped",
            tokens=TokenCounts(generated=2),
            runs=((3, 5),),
            layers=(LayerReceipt(layer=2, tokens=2, norm=2.0, delta_mean=0.5, delta_max=0.5),),
        )
        for one in request.interventions
    )
    return Completion(
        text=f"said {len(receipts)}",
        finish_reason="stop",
        usage=Usage(input_tokens=3, output_tokens=2),
        receipts=receipts,
        served=ServedBy(endpoint="scripted", model=request.model),
    )


def scripted(reply: Callable[[Request], Completion | str] = honest, **more: Any) -> Scripted:
    """A script that takes interventions."""
    return Scripted(reply, features=frozenset({"interventions", "read"}), **more)


@asynccontextmanager
async def office(
    store: str = "memory", *, clock: Clock | None = None, backend: Scripted | None = None, **settings: Any
) -> AsyncIterator[Office]:
    """A server that lives within."""
    clock = SystemClock() if clock is None else clock
    models = (Model(name="tiny", address="script:tiny"),)
    with opened(store, clock=clock) as storage:
        application = app(
            Settings(models=models, drain_s=0.0, **settings),
            backends={"tiny": scripted() if backend is None else backend},
            storage=storage,
            ledger=MemoryLedger(clock),
            clock=clock,
        )
        transport = httpx2.ASGITransport(app=application)
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
            made = Office(application, storage, client)
            await application.server.start()
            await application.server.follower.refresh()
            try:
                yield made
            finally:
                await application.server.stop()
