"""An OpenAI-compatible server relayed to: a backend for serving, lean, and impatient where its caller is.

Requests and replies are those of the conversations' backend; but it streams only if the caller does, leaves retries to
the caller, and gives up a connection the moment nobody listens.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from functools import partial

import aiohttp
import msgspec

from symposia.core.clock import Clock
from symposia.core.errors import BackendError
from symposia.core.features import refuse_unsupported
from symposia.core.lines import LineRules
from symposia.core.redact import Secret
from symposia.core.request import Completion, Delta, Feature, Item, ModelCard, Prompt, Request, Retrying

from .causes import AttemptFailed, lost
from .endpoint import OpenAIEndpoint
from .estimate import estimate
from .openai.flavours import DECLARABLE, FLAVOURS, Name
from .openai.reply import ChatReply
from .openai.unread import Reading, Unknown
from .openai.wire import ChatWire
from .policy import Timeouts
from .pool import Pool, Unreached
from .sse import MOST_HELD, Event, EventReader
from .target import Response
from .upstream import Upstream, read_all
from .waits import Waits

ENDPOINT = "upstream"
"""What its models' addresses may begin with, and what its completions say served them."""

Post = Callable[[Waits], Awaitable[Response]]
"""Sends what was made of a request."""

_DRAIN_S = 0.1
_TRACEPARENT = re.compile(r"[0-9a-f]{2}(?:-[0-9a-f]+){3}")


class _Listing(msgspec.Struct):
    data: list[_Listed]


class _Listed(msgspec.Struct):
    id: str


class Relay:
    """A server at `base_url`. Lines go as they stand: it is the caller who chose their order.

    `flavour`: what the server makes of the protocol; without one, by its address. A server of no known kind is taken to
    honour what the protocol can carry. `unknown` is told of fields of its replies that no value of ours holds. Errors
    are `BackendError`s: of cause `timeout` with a `Wait` as code.
    """

    def __init__(
        self,
        base_url: str,
        key: Secret | None,
        timeouts: Timeouts,
        clock: Clock,
        *,
        flavour: Name | None = None,
        features: tuple[Feature, ...] = (),
        unknown: Unknown = lambda _: None,
    ) -> None:
        self._upstream = Upstream(base_url, key, timeouts, clock)
        self._unknown = unknown
        kind = flavour or flavour_at(base_url)
        more = tuple(sorted(DECLARABLE)) if kind == "generic" and not features else features
        self._wire = ChatWire(
            ENDPOINT,
            OpenAIEndpoint(flavour=kind, base_url=base_url, insecure=True, features=more, rules=LineRules()),
        )
        self._cards: dict[str, ModelCard] = {}

    async def describe(self, model: str) -> ModelCard:
        """What the flavour's row says; nothing is asked."""
        return self._card(model)

    async def render(self, request: Request) -> Prompt:
        """An over-estimate: the tokenizer is elsewhere. What could not be sent is refused already."""
        self._wire.refuse(request)
        return estimate(request)

    async def generate(self, request: Request) -> AsyncIterator[Item]:
        """Refuses before any I/O; then deltas and one completion. `Retrying` at most once: nothing had been sent."""
        refuse_unsupported(request, self._card(request.model), ENDPOINT)
        self._wire.refuse(request)
        pool = self._upstream.pool()
        exchange, attempts = self._exchange(request, pool), 1
        waits = pool.watch.begin()
        failed: BackendError | None = None
        try:
            if not await exchange.reached(waits):
                attempts = 2
                yield Retrying(cause="connection", wait_s=0.0, attempt=attempts)
                await exchange.begin(waits)
            while piece := await exchange.read(waits):
                for delta in exchange.fold(piece):
                    waits.heard()
                    yield delta
            yield exchange.completion(attempts)
        except BackendError as error:
            failed = self._upstream.last_words(error, attempts)
        finally:
            pool.watch.end(waits)
            exchange.close()
        if failed is not None:  # raised here, it has nothing inside that was not scrubbed
            try:
                raise failed
            finally:
                del failed  # it holds this frame: a cycle for the collector

    async def models(self) -> tuple[str, ...]:
        """The names the server lists. Raises `BackendError`."""
        pool = self._upstream.pool()
        waits = pool.watch.begin()
        failed: BackendError | None = None
        listed = _Listing(data=[])
        try:
            listed = await self._listed(pool, waits)
        except BackendError as error:
            failed = self._upstream.last_words(error, 1)
        finally:
            pool.watch.end(waits)
        if failed is not None:
            raise failed
        return tuple(model.id for model in listed.data)

    async def _listed(self, pool: Pool, waits: Waits) -> _Listing:
        response = await pool.send("/models", None, waits)
        try:
            if response.status != 200:
                raise await self._upstream.refusal(response, waits)
            return msgspec.json.decode(await read_all(response, waits, MOST_HELD), type=_Listing)
        except (aiohttp.ClientError, OSError, msgspec.MsgspecError) as error:
            if waits.late is not None:
                raise waits.failed() from None
            what = f"expected a list of models at /models ({type(error).__name__})"
            raise lost("bad_response").error(what) from None
        finally:
            response.close()

    async def aclose(self) -> None:
        """Close the running loop's connections."""
        await self._upstream.aclose()

    def _card(self, model: str) -> ModelCard:
        card = self._cards.get(model)
        if card is None:
            card = self._cards[model] = self._wire.card(model)
        return card

    def _exchange(self, request: Request, pool: Pool) -> _Exchange:
        about = request.about
        body = msgspec.json.encode(self._wire.body(request, streamed=about.streamed))
        reply = self._wire.reply(request, Reading(self._unknown))
        traced = about.traceparent
        if traced and not _TRACEPARENT.fullmatch(traced):
            traced = ""
        post = partial(pool.send, self._wire.path, body, traceparent=traced)
        return _Exchange(self._upstream, post, reply, streamed=about.streamed)


class _Exchange:
    """One request on its way there, and its reply on the way back."""

    def __init__(self, upstream: Upstream, post: Post, reply: ChatReply, *, streamed: bool) -> None:
        self._upstream, self._post, self._reply = upstream, post, reply
        self._streamed = streamed
        self._reader = EventReader()
        self._response: Response | None = None

    async def reached(self, waits: Waits) -> bool:
        """`begin`; False where no connection could be made, so that it may begin once more."""
        try:
            await self.begin(waits)
        except Unreached:
            return False
        return True

    async def begin(self, waits: Waits) -> None:
        """Send the request; what is no success is raised, classified."""
        response = self._response = await self._post(waits)
        if response.status != 200:
            raise await self._upstream.refusal(response, waits)
        kind = response.media_type
        self._streamed = kind == "text/event-stream" or (self._streamed and kind != "application/json")
        if not self._streamed:
            waits.heard()

    async def read(self, waits: Waits) -> bytes:
        """What came next: some bytes of the events, or the whole of the reply; nothing once it has ended."""
        assert self._response is not None
        content, reply = self._response.content, self._reply
        if reply.ended:
            if reply.finished and not content.is_eof():
                await _drained(content)
            return b""
        try:
            if not self._streamed:
                if content.at_eof():
                    return b""
                body = await read_all(self._response, waits, MOST_HELD)
                if len(body) > MOST_HELD:
                    raise lost("bad_response").error(f"a reply of more than {MOST_HELD} bytes")
                return body
            waits.listening()
            return await content.readany()
        except (aiohttp.ClientError, OSError) as error:
            if reply.finished:
                return b""
            if waits.late is not None:
                raise waits.failed() from None
            cut = f"the reply broke off ({type(error).__name__})"
            raise lost("stream_truncated" if self._streamed else "bad_response").error(cut) from None

    def fold(self, piece: bytes) -> Iterable[Delta]:
        """The deltas these bytes complete."""
        reply = self._reply
        if not self._streamed:
            deltas = reply.feed("", piece)
            return deltas if reply.finished else ()  # of a whole reply without a finish, nothing
        events = self._reader.feed(piece)
        return reply.feed(*events[0]) if len(events) == 1 else self._each(events)

    def _each(self, events: Sequence[Event]) -> Iterator[Delta]:
        """What came together, one by one: of those before one that cannot be read, all."""
        for name, data in events:
            yield from self._reply.feed(name, data)
            if self._reply.ended:
                return

    def completion(self, attempts: int) -> Completion:
        """The whole. A finish that the server did not give is not made up."""
        reply = self._reply
        if reply.error is not None:
            raise self._upstream.failure(reply.error)
        try:
            done = reply.completion("")
        except AttemptFailed as error:
            events = self._streamed and self._reader.start and not self._reader.strays
            if error.cause != "stream_truncated" or events:
                raise
            what = "server-sent events" if self._streamed else "a finish_reason"
            raise lost("bad_response").error(f"expected {what}; got none") from None
        if attempts == 1:
            return done
        return msgspec.structs.replace(done, usage=msgspec.structs.replace(done.usage, attempts=attempts))

    def close(self) -> None:
        """Give up the connection, unless the reply was read to its end."""
        if self._response is not None:
            self._response.close()


def flavour_at(base_url: str) -> Name:
    """The flavour whose usual address it is; `generic` for any other."""
    given = base_url.rstrip("/")
    return next((name for name, row in FLAVOURS.items() if row.base_url in (given, f"{given}/v1")), "generic")


async def _drained(content: aiohttp.StreamReader) -> None:
    """Read what is left of an answer that has ended, so that its connection can be used again."""
    try:
        async with asyncio.timeout(_DRAIN_S):
            while not content.is_eof():
                await content.readany()
    except (TimeoutError, aiohttp.ClientError, OSError):
        pass
