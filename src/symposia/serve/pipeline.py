"""One request, from its bytes to its settlement: the order of things, and the one place for an unforeseen exception.

Identity, body, address, request; a slot and a reservation; then the backend, whose first sign of life decides the
status. Whatever happens, the reservation is settled once and `request_served` is emitted once.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from msgspec.structs import replace

from symposia.backends.estimate import estimate
from symposia.core.errors import BackendError
from symposia.core.request import About, Request
from symposia.core.served import LedgerDown

from . import budget, replies
from .address import Addressed, address
from .auth import demand
from .book import Book
from .budget import BudgetExceeded, Decision, Route
from .call import Call, Gone, Headers
from .faults import Fault, View, fault_of, refused
from .generation import Generation
from .headers import budget_headers, fault_headers, headers_of
from .ledger import LedgerUnreachable
from .replies import (
    PING,
    ChoiceObject,
    Envelope,
    SteeringBlock,
    UsageObject,
    choice_of,
    failed,
    steering_of,
    usage_of,
)
from .said import broken, told_apart
from .stream import HEADERS, Events, lanes_of
from .told import beyond_of, trace_of
from .traceparent import context
from .watch import Phase, Times, overdue, silent, stalled
from .wire import Aim, ChatRequest, read, to_requests

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from .health import Answer
    from .server import Server

_JSON: Headers = [(b"content-type", b"application/json")]
_OURS = frozenset({"internal_error", "engine_failed", "intervention_not_applied"})


class Exchange:
    """One request under way. `run` it once."""

    def __init__(self, server: Server, call: Call) -> None:
        self._server, self._call = server, call
        self._book = Book(call.request_id, call.began)
        self._ask: ChatRequest | None = None
        self._requests: tuple[Request, ...] = ()
        self._decision: Decision | None = None
        self._maximum = 0
        self._generation: Generation | None = None
        self._times: Times | None = None
        self._items = self._writes = self._writes_seen = 0
        self._slot = self._writing = self._ping = self._stalled = False
        self._task = asyncio.current_task()
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
        """See what is overdue: the backend, the caller, a ping."""
        times, generation = self._times, self._generation
        if times is None or generation is None:
            return
        if generation.items != self._items:
            self._items, times.item = generation.items, now
        if self._writes != self._writes_seen:
            self._writes_seen, times.written, times.writing = self._writes, now, None
        if not self._writing:
            times.writing = None
        elif times.writing is None:
            times.writing = now
        patience = self._server.patience
        if (late := overdue(times, patience, now)) is not None:
            generation.stop(_timed_out(late))
        elif stalled(times, patience, now) and not self._stalled and self._task is not None:
            self._stalled = True
            self._task.cancel()
        elif silent(times, patience, now):
            self._ping = True
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
        ask = self._ask = read(await call.body(server.settings.max_body_bytes), server.limits)
        book.stream = bool(ask.stream)
        unit = call.text(b"x-steering-unit")
        found = address(ask, caller, server.view, server.models, unit=unit, route=server.route)
        book.found = found
        self._requests = await self._made(ask, found)
        server.take_slot()
        self._slot = True
        await server.room()
        await self._hold(found)
        self._begin(found)
        await (self._stream() if book.stream else self._whole())

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
        return to_requests(ask, aim, found.model.limits, seed=server.seed(), about=about)

    def _traceparent(self) -> str:
        """What a remote backend is told of the trace. Ids are drawn where a span of ours will be kept, or traced."""
        given, telemetry = self._call.text(b"traceparent"), self._server.telemetry
        if given is None and telemetry is None and self._server.traces is None:
            return ""
        where = self._book.where = context(given, self._server.random)
        return where.header if telemetry is not None else given or ""

    async def _hold(self, found: Addressed) -> None:
        server, book, first = self._server, self._book, self._requests[0]
        policy, revision = server.view.policy, server.view.revision
        route = Route(model=found.model.name, profile=found.label, key=book.key)
        if any(charge.field == "tokens" for charge in budget.charges(policy, route, 0)):
            book.prompt_tokens = (await found.model.backend.render(first)).tokens
        ask = budget.Ask(prompt=book.prompt_tokens, n=len(self._requests), maximum=first.sampling.max_tokens)
        try:
            decision = await budget.hold(policy, server.ledger, route, ask=ask, ttl_s=server.lease_s)
        except BudgetExceeded as error:
            server.emit(budget.blocked(error, book.request_id, revision))
            raise refused(error.refusal) from None
        except LedgerUnreachable as error:
            server.emit(LedgerDown(request_id=book.request_id, admitted=False, why=str(error)))
            raise
        self._decision, self._maximum = decision, ask.maximum
        if decision.decision == "unheld":
            server.emit(LedgerDown(request_id=book.request_id, admitted=True, why=decision.why))
            return
        server.emit(budget.decided(decision, book.request_id, revision))
        for crossing in decision.crossings:
            server.emit(budget.warned(crossing))
        if decision.maximum < ask.maximum:
            self._requests = tuple(_shrunk(request, decision.maximum) for request in self._requests)

    def _begin(self, found: Addressed) -> None:
        server, book = self._server, self._book
        clock = None if server.traces is None else server.clock.monotonic
        self._generation = Generation(found.model.backend, self._requests, pieces=book.stream, clock=clock)
        book.asked = server.clock.monotonic()
        self._times = Times(asked=book.asked, streams=book.stream)
        server.watch.add(self)
        self._listener = asyncio.ensure_future(self._listen(self._generation))
        self._generation.begin()

    async def _listen(self, generation: Generation) -> None:
        await self._call.left()
        generation.stop(Gone())

    async def _first(self, generation: Generation) -> None:
        """Until the backend says something; raises what it fails with before."""
        while not generation.items and generation.error is None:
            await generation.wait()
        if not generation.items and generation.error is not None:
            raise generation.error
        self._book.first = self._server.clock.monotonic()

    async def _whole(self) -> None:
        generation, found = self._going()
        await self._first(generation)
        while not generation.whole:
            if generation.error is not None:
                raise generation.error
            await generation.wait()
        usage, block = self._finished(generation)
        choices = [choice for _, choice in sorted(self._book.choices.items())]
        raw = replies.reply(self._envelope(found), choices, usage, block)
        await self._call.answer(200, self._headers(200, _JSON), raw)

    async def _stream(self) -> None:
        generation, found = self._going()
        await self._first(generation)
        await self._call.start(200, self._headers(200, list(HEADERS)))
        card = await found.model.known()
        lanes = lanes_of(self._requests, card.syntax, detects=self._server.settings.stop_degenerate)
        wants_usage = self._ask is not None and self._ask.wants_usage
        events = Events(self._envelope(found), lanes, usage=wants_usage)
        while True:
            out = events.pieces(generation.take())
            if events.degenerate is not None:
                generation.stop(_degenerate(events.degenerate))
            if generation.whole:
                left = sorted(generation.completions.keys() - self._book.choices.keys())
                usage, block = self._finished(generation)
                ending = events.ending([self._book.choices[i] for i in left], usage, block)
                await self._write(out + ending, more=False)
                return
            for index in sorted(generation.completions.keys() - self._book.choices.keys()):
                out += events.ended(self._told(index, generation))
            if out or self._ping:
                self._ping = False
                await self._write(out or PING)
            if generation.error is not None:
                raise generation.error
            await generation.wait()

    def _told(self, index: int, generation: Generation) -> ChoiceObject:
        request = self._requests[index]
        stem = f"{self._call.own_id[-12:]}_{index}"
        completion = told_apart(generation.completions[index], request, stem)
        choice = self._book.choices[index] = choice_of(index, completion, request)
        return choice

    def _finished(self, generation: Generation) -> tuple[UsageObject, SteeringBlock]:
        """Everything is there: what it came to."""
        book, ask = self._book, self._ask
        book.ended = self._server.clock.monotonic()
        whole = [completion for _, completion in sorted(generation.completions.items())]
        for index, completion in enumerate(whole):
            choice = book.choices.get(index) or self._told(index, generation)
            book.degenerate = book.degenerate or broken(completion, choice)
        book.finished(whole)
        if book.found is not None:
            book.found.model.answered()
        verbatim = ask is not None and ask.steering is not None and ask.steering.receipts
        decided = book.decided(self._requests[0].seed)
        block = steering_of(decided, whole, verbatim=verbatim, degenerate=book.degenerate)
        return usage_of(whole), block

    async def _write(self, raw: bytes, *, more: bool = True) -> None:
        self._writes += 1
        self._writing = True
        try:
            await self._call.send(raw, more=more)
        except asyncio.CancelledError:
            if self._stalled and self._task is not None:
                self._task.uncancel()
                raise Gone from None
            raise
        finally:
            self._writing = False

    async def _fail(self, error: Exception) -> None:
        server, call, book = self._server, self._call, self._book
        inline = book.found is not None and book.found.arm == "inline"
        fault = fault_of(
            error, View(server.redactor, inline=inline, rate_status=server.settings.upstream_rate_status)
        )
        if fault.code in _OURS:
            server.report(call.request_id, error)
            if book.found is not None:
                book.found.model.failed(fault.code)
        heard = self._generation is not None and self._generation.items > 0
        book.failed(fault, answered=call.answered, heard=heard)
        block = None if book.found is None else book.decided().served
        if call.answered:
            await self._write(failed(fault, call.request_id, block), more=False)
        else:
            headers = self._headers(fault.status, [*_JSON, *fault_headers(fault.headers)])
            await call.answer(fault.status, headers, fault.body(call.request_id, block))

    async def _close(self) -> None:
        server, book, generation = self._server, self._book, self._generation
        server.watch.discard(self)
        if self._listener is not None:
            self._listener.cancel()
        try:
            if generation is not None:
                await generation.aclose()
                if not generation.whole:
                    self._broke(generation)
            await self._settle(generation)
        except Exception as error:  # noqa: BLE001  the boundary: what happened is told whatever happens
            server.report(book.request_id, error)
        finally:
            if self._slot:
                server.give_slot()
            server.exchanges -= 1
            self._tell()

    def _tell(self) -> None:
        """The one event, and what is kept beside it where that is asked for."""
        server, book, ask = self._server, self._book, self._ask
        now = server.clock.monotonic()
        event = book.event(now)
        if server.telemetry is not None and book.where is not None and book.found is not None:
            content = server.settings.otel_content
            beyond = beyond_of(ask, book, self._envelope(book.found), book.where, content=content)
            server.telemetry.beyond(book.request_id, beyond)
        server.emit(event)
        if server.traces is not None and ask is not None and book.found is not None:
            came = server.clock.time() - (now - book.began)
            server.traces(trace_of(ask, event, book, self._requests, self._generation, time=came))

    def _broke(self, generation: Generation) -> None:
        book = self._book
        if book.outcome == "cancelled" or generation.items:
            book.prompt_tokens = book.prompt_tokens or estimate(self._requests[0]).tokens
            book.broke(generation.made_tokens)

    async def _settle(self, generation: Generation | None) -> None:
        decision, book, server = self._decision, self._book, self._server
        if decision is None or decision.lease is None:
            return
        tokens = book.usage.input_tokens + book.usage.output_tokens
        requests = 0 if generation is None else 1
        try:
            settlement = await server.ledger.settle(decision.lease, tokens=tokens, requests=requests)
        except LedgerUnreachable as error:
            server.emit(LedgerDown(request_id=book.request_id, admitted=True, why=f"not settled: {error}"))
            return
        if not settlement.again:
            server.emit(budget.settled(settlement, decision.lease, tokens=tokens, requests=requests))

    def _going(self) -> tuple[Generation, Addressed]:
        assert self._generation is not None
        assert self._book.found is not None
        return self._generation, self._book.found

    def _headers(self, status: int, own: Headers) -> Headers:
        server, book = self._server, self._book
        shown = None
        if status == 200 and book.found is not None:
            shown = book.applied or ("true" if book.found.steered else "false")
            book.status = status
        taken_ms = (server.clock.monotonic() - book.began) * 1e3
        return [
            *headers_of(book.request_id, taken_ms, book.found, shown, [*own, *server.fixed_headers]),
            *budget_headers(self._decision, self._maximum),
        ]

    def _envelope(self, found: Addressed) -> Envelope:
        asked = "" if self._ask is None else self._ask.model
        created = int(self._server.clock.time())
        id_ = f"chatcmpl-{self._call.own_id[-24:]}"
        return Envelope(id_, created, asked, found.model.fingerprint)


def _shrunk(request: Request, maximum: int) -> Request:
    return replace(request, sampling=replace(request.sampling, max_tokens=maximum))


def _timed_out(phase: Phase) -> BackendError:
    return BackendError(f"nothing came in time ({phase})", cause="timeout", code=phase)


def _degenerate(cause: str) -> Fault:
    return Fault("degenerate_output", f"the reply went round in circles ({cause}); it was ended", param=cause)


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
