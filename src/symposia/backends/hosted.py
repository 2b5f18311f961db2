"""A hosted model as a backend: refuse, then attempts at a stream of the request that the provider's own SDK wrote.

The SDK writes and signs, its HTTP client sends; its retries are off and its typed parsing of chunks, ten times the cost
of the rest, is passed by: events are read as bytes. Clients of its own for each event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import msgspec

from symposia.core.clock import Clock
from symposia.core.features import refuse_unsupported
from symposia.core.redact import Redactor
from symposia.core.request import Completion, Delta, Item, ModelCard, Prompt, Request

from .attempts import attempts
from .causes import AttemptFailed, lost
from .estimate import estimate
from .gates import Gate
from .governor import Lease
from .policy import Policy
from .sdk import Sdk
from .sse import EventReader
from .wire import Reply, Wire, failed, server_error

Connect = Callable[[], Sdk]


@dataclass(frozen=True, kw_only=True, slots=True)
class Terms:
    """How an endpoint's calls are made: by whose client, within which limits, how patiently, what errors may not hold.

    `connect` makes a client for the running event loop.
    """

    connect: Connect
    gate: Gate
    clock: Clock
    redactor: Redactor
    policy: Policy = Policy()


class Hosted:
    """One endpoint. `terms` is first asked for when a request is about to be sent: it reads the key."""

    def __init__(self, wire: Wire, terms: Callable[[], Terms]) -> None:
        self._wire, self._agree = wire, terms
        self._agreed: Terms | None = None
        self._clients: WeakKeyDictionary[asyncio.AbstractEventLoop, Sdk] = WeakKeyDictionary()
        self._cards: dict[str, ModelCard] = {}

    async def describe(self, model: str) -> ModelCard:
        """What the endpoint's row says; nothing is asked."""
        if model not in self._cards:
            self._cards[model] = self._wire.card(model)
        return self._cards[model]

    async def render(self, request: Request) -> Prompt:
        """An over-estimate: the tokenizer is elsewhere. What could not be sent is refused already."""
        self._wire.refuse(request)
        return estimate(request)

    async def ready(self) -> None:
        """Raise what would keep it from being asked: no key, no package. Nothing is sent."""
        self._client()

    async def generate(self, request: Request) -> AsyncIterator[Item]:
        """Refuses before any I/O; then deltas, `Retrying` between attempts, one completion."""
        refuse_unsupported(request, await self.describe(request.model), self._wire.endpoint)
        self._wire.refuse(request)
        _ = request.digest  # refuses what has no JSON, NaN for one, which the encoder would send as null
        terms, sdk = self._terms, self._client()
        body = msgspec.json.encode(self._wire.body(request))
        tries = attempts(
            lambda lease: self._attempt(request, body, sdk, lease),
            request=request,
            policy=terms.policy,
            governor=terms.gate.governor,
            breaker=terms.gate.breaker,
            clock=terms.clock,
            redactor=terms.redactor,
        )
        async with aclosing(tries) as items:
            async for item in items:
                yield item

    async def aclose(self) -> None:
        """Close the running loop's connections."""
        client = self._clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.aclose()

    @property
    def _terms(self) -> Terms:
        if self._agreed is None:
            self._agreed = self._agree()
        return self._agreed

    def _client(self) -> Sdk:
        loop = asyncio.get_running_loop()
        client = self._clients.get(loop)
        if client is None:
            client = self._clients[loop] = self._terms.connect()
        return client

    async def _attempt(
        self, request: Request, body: bytes, sdk: Sdk, lease: Lease
    ) -> AsyncGenerator[Delta | Completion]:
        """One attempt: the deltas of its stream, then the completion."""
        reply, reader = self._wire.reply(request), EventReader()
        try:
            async with sdk.answer(self._wire.path, body) as response:
                headers = _named(response.headers.raw)
                lease.heard(headers)
                if not response.is_success:
                    raise self._refusal(response.status_code, headers, await response.aread())
                pieces = response.aiter_bytes()
                async for piece in pieces:
                    for name, data in reader.feed(piece):
                        for delta in reply.feed(name, data):
                            yield delta
                        if reply.ended:
                            break
                    if reply.ended:
                        break
                if reply.ended and reply.finished:
                    await sdk.drained(pieces)
        except sdk.broken as error:
            if not reply.finished:
                raise sdk.lost(error) from None
        request_id = self._terms.redactor.text(_request_id(headers))
        if reply.error is not None:
            raise failed(
                reply.error, status=None, headers={}, now=self._terms.clock.time(), request_id=request_id
            )
        yield self._completed(reply, reader, request_id)

    def _refusal(self, status: int, headers: Mapping[str, str], content: bytes) -> AttemptFailed:
        """The classified error that a reply is."""
        return failed(
            server_error(content),
            status=status,
            headers=headers,
            now=self._terms.clock.time(),
            request_id=_request_id(headers),
        )

    def _completed(self, reply: Reply, reader: EventReader, request_id: str) -> Completion:
        try:
            return reply.completion(request_id)
        except AttemptFailed as error:
            if error.cause == "stream_truncated" and reader.strays:
                words = " ".join(reader.start.decode("utf-8", "replace").split())
                raise lost("bad_response").error(f"expected server-sent events; got {words!r}") from None
            raise


def _named(headers: Sequence[tuple[bytes, bytes]]) -> dict[str, str]:
    """Headers by their names in lower case."""
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in headers}


def _request_id(headers: Mapping[str, str]) -> str:
    return headers.get("x-request-id") or headers.get("request-id") or ""
