"""One request, from its bytes to its settlement: the order of things, and the one place for an unforeseen exception.

Identity, body, address, request; a slot and a reservation; then the backend, whose first sign of life decides the
status. Whatever happens, the reservation is settled once and `request_served` is emitted once.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from functools import lru_cache
from typing import TYPE_CHECKING

from symposia.backends.estimate import estimate
from symposia.core.errors import BackendError, SelectionMissed
from symposia.core.request import About, Request

from .address import Addressed, address
from .auth import demand
from .book import Book
from .call import Call, Gone, Headers
from .delivery import Delivery, Turn
from .faults import Fault, View, fault_of
from .generation import Generation
from .headers import fault_headers, headers_of
from .replies import failed
from .reservation import Reservation
from .stream import HEADERS
from .told import beyond_of, trace_of
from .traceparent import context
from .watch import Phase, Times, overdue, silent, stalled
from .wire import Aim, ChatRequest, read, to_requests

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from .health import Answer
    from .server import Server

_JSON: Headers = [(b"content-type", b"application/json")]
_DAY_S = 86_400
_OURS = frozenset({"internal_error", "engine_failed", "intervention_not_applied"})


class Exchange:
    """One request under way. `run` it once."""

    def __init__(self, server: Server, call: Call) -> None:
        self._server, self._call = server, call
        self._book = Book(call.request_id, call.began)
        self._held = Reservation(server, call.request_id)
        self._turn: Turn | None = None
        self._generation: Generation | None = None
        self._delivery: Delivery | None = None
        self._times: Times | None = None
        self._items = self._writes = 0
        self._slot = False
        self._listener: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Answer. Nothing is raised but a cancellation from outside."""
        self._server.exchanges += 1
        try:
            await self._serve()
        except Gone:
            self._book.outcome = "cancelled"
        except asyncio.CancelledError:
            self._book.outcome = "cancelled"
            raise
        except Exception as error:  # noqa: BLE001  the boundary: one request fails, not the server
            await self._fail(error)
        finally:
            await self._close()

    def look(self, now: float) -> None:
        """See what is overdue: the backend, the caller, a ping. What ends before the first look is not listened for."""
        times, generation, delivery = self._times, self._generation, self._delivery
        if times is None or generation is None or delivery is None:
            return
        if self._listener is None:
            self._listener = asyncio.get_running_loop().create_task(self._listen(generation))
        if generation.items != self._items:
            self._items, times.item = generation.items, now
        if delivery.writes != self._writes:
            self._writes, times.written, times.writing = delivery.writes, now, None
        if not delivery.writing:
            times.writing = None
        elif times.writing is None:
            times.writing = now
        patience = self._server.patience
        if (late := overdue(times, patience, now)) is not None:
            generation.stop(_timed_out(late))
        elif stalled(times, patience, now):
            delivery.give_up()
        elif silent(times, patience, now):
            delivery.ping = True
            generation.wake()

    def cut(self, fault: Fault, *, steered_only: bool = False) -> None:
        """End it from outside."""
        found = self._book.found
        if self._generation is not None and not (steered_only and (found is None or not found.steered)):
            self._generation.stop(fault)

    async def _serve(self) -> None:
        server, call, book = self._server, self._call, self._book
        server.check(call)
        server.drain.check()
        caller = server.admit(call)
        book.key = caller.id
        demand(caller, "inference")
        ask = read(await call.body(server.settings.max_body_bytes), server.limits)
        book.stream = bool(ask.stream)
        unit = call.text(b"x-steering-unit")
        found = address(ask, caller, server.view, server.models, unit=unit, route=server.route)
        book.found = found
        requests = await self._made(ask, found)
        self._turn = Turn(ask, found, requests)
        server.take_slot()
        self._slot = True
        await server.room()
        requests = await self._held.hold(requests, found, caller.id)
        self._turn = Turn(ask, found, requests)
        await self._deliver(self._turn)

    async def _made(self, ask: ChatRequest, found: Addressed) -> tuple[Request, ...]:
        server, call = self._server, self._call
        card = await found.model.known()
        about = About(
            run="serve",
            conversation=call.request_id,
            profile=found.digest,
            streamed=bool(ask.stream),
            traceparent=self._traceparent(),
        )
        aim = Aim(found.model.address, card, found.profile)
        date = date_of(int(server.clock.time() // _DAY_S))
        return to_requests(ask, aim, found.model.limits, seed=server.seed(), about=about, date=date)

    def _traceparent(self) -> str:
        """What a remote backend is told of the trace. Ids are drawn where a span of ours will be kept, or traced."""
        given, telemetry = self._call.text(b"traceparent"), self._server.telemetry
        if given is None and telemetry is None and self._server.traces is None:
            return ""
        where = self._book.where = context(given, self._server.random)
        return where.header if telemetry is not None else given or ""

    async def _deliver(self, turn: Turn) -> None:
        server, call, book = self._server, self._call, self._book
        clock = None if server.traces is None else server.clock.monotonic
        generation = Generation(turn.found.model.backend, turn.requests, pieces=book.stream, clock=clock)
        delivery = Delivery(call, book, turn, generation)
        book.asked = server.clock.monotonic()
        self._times = Times(asked=book.asked, streams=book.stream)
        self._generation, self._delivery = generation, delivery
        server.watch.add(self)
        generation.begin()
        await delivery.first()
        book.first = server.clock.monotonic()
        created = int(server.clock.time())
        if book.stream:
            card = await turn.found.model.known()
            await call.start(200, self._headers(200, list(HEADERS)))
            await delivery.stream(created, card.syntax, stops=server.settings.stop_degenerate)
            return
        raw = await delivery.whole(created)
        book.ended = server.clock.monotonic()
        await call.answer(200, self._headers(200, _JSON), raw)

    async def _listen(self, generation: Generation) -> None:
        await self._call.left()
        generation.stop(Gone())

    async def _fail(self, error: Exception) -> None:
        server, call, book = self._server, self._call, self._book
        inline = book.found is not None and book.found.arm == "inline"
        rate_status = server.settings.upstream_rate_status
        fault = fault_of(error, View(server.redactor, inline=inline, rate_status=rate_status))
        if fault.code in _OURS:
            server.report(call.request_id, error)
            if book.found is not None:
                book.found.model.failed(fault.code)
        heard = self._generation is not None and self._generation.items > 0
        book.failed(fault, answered=call.answered, heard=heard)
        block = None if book.found is None else book.decided().served
        if call.answered and self._delivery is not None:
            await self._delivery.write(failed(fault, call.request_id, block), more=False)
        elif not call.answered:
            headers = self._headers(fault.status, [*_JSON, *fault_headers(fault.headers)])
            await call.answer(fault.status, headers, fault.body(call.request_id, block))

    async def _close(self) -> None:
        server, book, generation = self._server, self._book, self._generation
        server.watch.discard(self)
        if self._listener is not None:
            self._listener.cancel()
            self._listener = None  # once cancelled it holds its frames, and they this: a cycle
        try:
            if generation is not None:
                await generation.aclose()
                if not generation.whole:
                    self._broke(generation)
            tokens = book.usage.input_tokens + book.usage.output_tokens
            await self._held.settle(tokens=tokens, requests=0 if generation is None else 1)
        except Exception as error:  # noqa: BLE001  the boundary: what happened is told whatever happens
            server.report(book.request_id, error)
        finally:
            if self._slot:
                server.give_slot()
            server.exchanges -= 1
            self._tell()
            for raised in (book.fault, None if generation is None else generation.error):
                if raised is not None:
                    raised.__traceback__ = None  # its frames hold this exchange: one more cycle

    def _broke(self, generation: Generation) -> None:
        """What was used by what is not whole: what its error holds, else what was heard of it."""
        book = self._book
        book.ended = book.ended or self._server.clock.monotonic()
        if isinstance(generation.error, SelectionMissed):
            book.usage = generation.error.completion.usage
        elif self._turn is not None and (book.outcome == "cancelled" or generation.items):
            prompt = self._held.prompt_tokens or estimate(self._turn.requests[0]).tokens
            book.broke(prompt, generation.made_tokens)

    def _tell(self) -> None:
        """The one event, and what is kept beside it where that is asked for."""
        server, book, turn, delivery = self._server, self._book, self._turn, self._delivery
        now = server.clock.monotonic()
        event = book.event(now)
        if server.telemetry is not None and book.where is not None and turn and delivery:
            content = server.settings.otel_content
            envelope = delivery.envelope(0)
            server.telemetry.beyond(
                book.request_id, beyond_of(turn.ask, book, envelope, book.where, content=content)
            )
        server.emit(event)
        if server.traces is not None and turn is not None:
            came = server.clock.time() - (now - book.began)
            server.traces(trace_of(turn, event, book, self._generation, time=came))

    def _headers(self, status: int, own: Headers) -> Headers:
        server, book = self._server, self._book
        shown = "false"
        if status == 200 and book.found is not None:
            shown = book.applied or ("true" if book.found.steered else "false")
            book.status = status
        taken_ms = (server.clock.monotonic() - book.began) * 1e3
        every = headers_of(book.request_id, taken_ms, book.found, shown, [*own, *server.fixed_headers])
        return every + self._held.headers()


def _timed_out(phase: Phase) -> BackendError:
    return BackendError(f"nothing came in time ({phase})", cause="timeout", code=phase)


@lru_cache(maxsize=4)
def date_of(day: int) -> str:
    """The date of a day counted from the epoch, as templates are told it."""
    return (dt.date(1970, 1, 1) + dt.timedelta(days=day)).isoformat()


async def guarded(
    server: Server, call: Call, answering: Callable[[Server, Call], Awaitable[Answer | None]]
) -> None:
    """Answer a request that is no turn; `answering` gives None if it did. What fails is told as every failure is."""
    try:
        server.check(call)
        answer = await answering(server, call)
        if answer is None:
            return
        status, raw, media = answer
        headers: Headers = [(b"content-type", media.encode())]
    except Gone:
        return
    except Exception as error:  # noqa: BLE001  the boundary: one request fails, not the server
        fault = fault_of(error, View(server.redactor))
        if fault.code in _OURS:
            server.report(call.request_id, error)
        if call.answered:  # the status is out: all that is left is to end short of the end
            return
        status, raw = fault.status, fault.body(call.request_id)
        headers = [*_JSON, *fault_headers(fault.headers)]
    taken_ms = (server.clock.monotonic() - call.began) * 1e3
    await call.answer(
        status, headers_of(call.request_id, taken_ms, None, None, [*headers, *server.fixed_headers]), raw
    )
