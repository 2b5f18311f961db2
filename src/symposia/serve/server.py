"""What requests share: models, the snapshot, the ledger, the journal, and who is under way."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from symposia.core.clock import Clock
from symposia.core.redact import Redactor
from symposia.core.request import Backend
from symposia.core.served import AuthRefused
from symposia.core.version import __version__
from symposia.store import Storage

from . import budget
from .address import Route, champion_or_plain
from .auth import DEV, Caller, Refused, authenticate
from .call import MOST_HEADERS, Call, Headers
from .drain import Drain
from .faults import Fault
from .follow import Follower, taken
from .journal import Beat, Journal, Listener
from .ledger import Ledger, LedgerUnreachable
from .metrics import Metrics
from .models import ServedModel, served_models
from .openapi import document
from .settings import Settings, is_loopback
from .snapshot import Snapshot
from .traces import Traces
from .watch import Patience, Watch
from .wire import Limits

if TYPE_CHECKING:
    from .otel import Telemetry

LEASE_GRACE_S = 60.0
"""How much longer than its request a reservation lives."""
_EXPIRE_S = 1.0
_STOP_S = 5.0
_DRAWN = 4096

Closer = Callable[[], Awaitable[None]]
"""Lets go of what a backend holds open, in the loop that served."""

Reporter = Callable[[str, BaseException], None]
"""Is told of what nobody foresaw: the request's id, and what was raised."""
Arrival = Callable[[Call], None]
"""Is told of a request as it came, before it is let in."""


class Pool:
    """Random bytes drawn many at a time: asking the system costs more than what they are for."""

    def __init__(self, random: Callable[[int], bytes]) -> None:
        self._random, self._left, self._at = random, b"", 0

    def __call__(self, size: int) -> bytes:
        """So many bytes, never given before."""
        if self._at + size > len(self._left):
            self._left, self._at = self._random(_DRAWN), 0
        self._at += size
        return self._left[self._at - size : self._at]


@dataclass(frozen=True, kw_only=True)
class Kit:
    """What a server is given beside its settings. `random` gives so many random bytes."""

    backends: Mapping[str, Backend]
    storage: Storage
    ledger: Ledger
    clock: Clock
    random: Callable[[int], bytes]
    redactor: Redactor = field(default_factory=lambda: Redactor({}))
    metrics: Metrics | None = None
    listeners: tuple[Listener, ...] = ()
    beats: tuple[Beat, ...] = ()
    reporters: tuple[Reporter, ...] = ()
    arrivals: tuple[Arrival, ...] = ()
    telemetry: Telemetry | None = None
    closers: tuple[Closer, ...] = ()


class Server:
    """State of one server process. `start` and `stop` belong to the event loop that serves."""

    def __init__(self, settings: Settings, kit: Kit) -> None:
        self.settings, self.clock, self.redactor = settings, kit.clock, kit.redactor
        self.storage, self.ledger = kit.storage, kit.ledger
        self.random, self._reporters, self._arrivals = Pool(kit.random), kit.reporters, kit.arrivals
        self.telemetry, self._closers = kit.telemetry, kit.closers
        self.traces: Traces | None = None
        self.models: dict[str, ServedModel] = served_models(settings, kit.backends)
        self.metrics = kit.metrics or Metrics(__version__, kit.redactor)
        told: tuple[Listener, ...] = (self.metrics, *kit.listeners)
        if kit.telemetry is not None:
            told = (*told, kit.telemetry)
        keys_file = None if settings.keys_file is None else Path(settings.keys_file)
        self.view: Snapshot = taken(kit.storage, keys_file)
        self.follower = Follower(kit.storage, kit.clock, self.see, keys_file)
        self.journal = Journal(
            kit.storage.events,
            kit.clock,
            listeners=told,
            beats=kit.beats,
            spoiled=partial(self.report, ""),
        )
        self.emit = self.journal.emit
        self.watch = Watch(kit.clock)
        self.route: Route = champion_or_plain
        self.drain = Drain(kit.clock, self.emit, under_way=self._under_way, cut=self.cut)
        self.limits = Limits(
            max_messages=settings.max_messages,
            max_n=settings.max_n,
            default_output_tokens=settings.default_output_tokens,
            max_output_tokens=settings.max_output_tokens,
        )
        self.patience = Patience(
            first_s=settings.connect_s + settings.first_token_s,
            idle_s=settings.idle_s,
            total_s=settings.total_s,
            ping_s=settings.ping_s,
            write_stall_s=settings.write_stall_s,
        )
        self.lease_s = settings.total_s + LEASE_GRACE_S
        self.fixed_headers: Headers = [(b"x-symposia-insecure", b"dev")] if settings.insecure_dev else []
        self.document = msgspec.json.encode(document(limits=self.limits))
        self.started = int(kit.clock.time())
        self.in_flight = 0
        self.exchanges = 0
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begin to follow, to write down, to watch; ask every backend who it is."""
        self.journal.start()
        self.follower.start()
        self.watch.start()
        self._tasks = [
            asyncio.ensure_future(model.introduce(self.clock, __version__)) for model in self.models.values()
        ]
        self._tasks.append(asyncio.ensure_future(self._expire()))

    async def stop(self) -> None:
        """Run dry, then write down what is left."""
        self.drain.begin("shutdown")
        await self.drain.run_dry(self.settings.drain_s)
        self.watch.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks, timeout=_STOP_S)
        self.follower.stop()
        if self.traces is not None:
            await asyncio.to_thread(self.traces.close)
        if self.telemetry is not None:
            await asyncio.to_thread(self.telemetry.close)
        await asyncio.to_thread(self.journal.close)
        await self.ledger.aclose()
        for close in self._closers:
            await close()

    def see(self, view: Snapshot) -> None:
        """From the next request on, this is how things stand."""
        before, self.view = self.view, view
        if view.kill is not None and view.kill.on and view.kill.cut and view.kill != before.kill:
            self.cut(
                Fault("steering_disabled", "steering was switched off; the reply ends here"), steered=True
            )

    def cut(self, fault: Fault, *, steered: bool = False) -> None:
        """End what runs; `steered`: only what has interventions."""
        for one in self.watch.under_way:
            one.cut(fault, steered_only=steered)

    def check(self, call: Call) -> None:
        """What holds for every request: headers of a sane size, and a development server is this machine's own."""
        for arrival in self._arrivals:
            arrival(call)
        if sum(map(len, call.fields)) + sum(map(len, call.fields.values())) > MOST_HEADERS:
            raise Fault("request_too_large", f"expected headers of at most {MOST_HEADERS} bytes").answering(
                431
            )
        if self.settings.insecure_dev:
            host = call.text(b"host")
            if b"x-forwarded-for" in call.fields or host is None or not is_loopback(host):
                raise Fault(
                    "insecure_dev_only_local",
                    "this server runs with --insecure-dev: it answers this machine only, and nobody in between",
                )

    def admit(self, call: Call) -> Caller:
        """Who asks. Raises `Refused`; it is told to whoever listens."""
        if self.settings.insecure_dev:
            return DEV
        try:
            return authenticate(call.fields.get(b"authorization"), self.view.callers, self.clock.time())
        except Refused as refused:
            self.emit(AuthRefused(request_id=call.request_id, reason=refused.reason, key=refused.key))
            raise

    def take_slot(self) -> None:
        """A place among those in flight, or 503."""
        if self.in_flight >= self.settings.max_in_flight:
            raise Fault("server_is_overloaded", f"{self.in_flight} requests are in flight; ask again shortly")
        self.in_flight += 1

    def give_slot(self) -> None:
        """Give the place back."""
        self.in_flight -= 1

    async def room(self) -> None:
        """Room for the events of one more request, or 503."""
        if self.journal.full and not await self.journal.room():
            raise Fault("server_is_overloaded", "what happens here cannot be written down fast enough")

    def seed(self) -> int:
        """A seed for who gave none."""
        return int.from_bytes(self.random(8)) >> 1

    def request_id(self) -> str:
        """A name for a request without one."""
        return f"req_{self.random(12).hex()}"

    def report(self, request_id: str, error: BaseException) -> None:
        """Tell of what nobody foresaw."""
        for reporter in self._reporters:
            reporter(request_id, error)

    def _under_way(self) -> int:
        return self.exchanges

    async def _expire(self) -> None:
        """Tell of reservations that nobody settled."""
        while True:
            await self.clock.sleep(_EXPIRE_S)
            try:
                leases = await self.ledger.expire()
            except LedgerUnreachable:
                continue
            for lease in leases:
                self.emit(budget.expired(lease))
