"""Metrics are a fold over what happened, and a few readings of how things stand when somebody asks.

Base units, no colons. Names that come from outside are redacted and bounded, so neither a secret nor a stranger's
imagination ends up in a label.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from symposia.core.redact import Redactor
from symposia.core.served import (
    AuthRefused,
    BudgetDecision,
    BudgetSettled,
    LedgerDown,
    RequestServed,
    ServerEvent,
    TracingStopped,
)
from symposia.core.value import Count, Value

from .ledger import Standing
from .series import Names, Series, gauge, gauges, total

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
DURATION_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
FIRST_TOKEN_S = (0.001, 0.0025, *DURATION_S[:13])
OVERHEAD_S = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1)
_UPSTREAM = "provider_"
_TRUNCATED = "provider_stream_truncated"


class Readings(Value, frozen=True, kw_only=True):
    """How the server stands at a scrape. `standings`: every live pool, or none where the ledger was not reached.

    `untraced` counts requests whose trace was not written.
    """

    in_flight: Count = 0
    event_queue: Count = 0
    killed: bool = False
    standings: tuple[Standing, ...] = ()
    untraced: Count = 0


class Metrics:
    """A listener of server events, from any thread; `text` is what `/metrics` answers.

    Leases are counted by this process's own events: over replicas, their sum is the number of open ones.
    """

    def __init__(self, version: str, redactor: Redactor) -> None:
        self._version = version
        self._models, self._profiles, self._pools = (Names(redactor) for _ in range(3))
        self._codes, self._fields = Names(redactor), Names(redactor)
        self._lock = threading.Lock()
        self._leases: set[str] = set()
        self._tracing = True
        self._series = series = Series()
        self._requests = series.counter(
            "steering_requests", "Requests ended.", "model", "profile", "arm", "outcome", "status"
        )
        self._duration = series.histogram(
            "steering_request_duration_seconds", "First byte in, last byte out.", DURATION_S, "model", "arm"
        )
        self._first_token = series.histogram(
            "steering_ttft_seconds", "First byte in, first piece out.", FIRST_TOKEN_S, "model", "arm"
        )
        self._overhead = series.histogram(
            "steering_gateway_overhead_seconds", "Duration less the time the model took.", OVERHEAD_S
        )
        told = "Tokens by kind; cached ones are prompt ones too, reasoning ones completion ones too."
        self._tokens = series.counter("steering_tokens", told, "model", "arm", "kind")
        self._truncated = series.counter("steering_stream_truncated", "Replies the upstream cut short.")
        self._upstream = series.counter("steering_upstream_errors", "Failures of a model's backend.", "code")
        self._unknown = series.counter(
            "steering_upstream_unknown_fields", "Upstream fields that were not relayed.", "field"
        )
        self._receipts = series.counter("steering_receipts", "What became of interventions.", "status")
        self._degenerate = series.counter("steering_degenerate", "Replies that were no text.", "arm", "cause")
        self._auth = series.counter("steering_auth_failures", "Callers turned away.", "reason")
        self._decisions = series.counter(
            "steering_budget_decisions", "Requests held against budgets.", "decision"
        )
        self._expired = series.counter(
            "steering_budget_lease_expired", "Reservations nobody settled in time."
        )
        self._ledger_down = series.counter("steering_ledger_down", "Requests that met no ledger.", "admitted")

    def __call__(self, time: float, event: ServerEvent) -> None:
        """Fold one event in."""
        with self._lock:
            self._fold(event)

    def _fold(self, event: ServerEvent) -> None:
        match event:
            case RequestServed():
                self._served(event)
            case BudgetDecision(decision=decision, lease=lease):
                self._decisions.add((decision,))
                if lease:
                    self._leases.add(lease)
            case BudgetSettled(outcome=outcome, lease=lease):
                self._leases.discard(lease)
                if outcome == "expired":
                    self._expired.add()
            case AuthRefused(reason=reason):
                self._auth.add((self._codes.of(reason),))
            case LedgerDown(admitted=admitted):
                self._ledger_down.add(("true" if admitted else "false",))
            case TracingStopped():
                self._tracing = False
            case _:
                pass

    def unknown_field(self, field: str) -> None:
        """Count an upstream field that our values do not hold."""
        with self._lock:
            self._unknown.add((self._fields.of(field),))

    def _served(self, event: RequestServed) -> None:
        known = not 400 <= event.status < 429  # refused for what it says: names of nothing take no label
        model, arm = self._models.of(event.model, new=known), event.arm
        profile = self._profiles.of(event.profile, new=known)
        self._requests.add((model, profile, arm, event.outcome, str(event.status)))
        labels = (model, arm)
        self._duration.observe(labels, event.latency_ms / 1000)
        if event.ttft_ms is not None:
            self._first_token.observe(labels, event.ttft_ms / 1000)
        self._overhead.observe((), max(event.latency_ms - event.backend_ms, 0.0) / 1000)
        for kind, count in (
            ("prompt", event.prompt_tokens),
            ("completion", event.completion_tokens),
            ("cached", event.cached_tokens),
            ("reasoning", event.reasoning_tokens),
        ):
            if count:
                self._tokens.add((model, arm, kind), count)
        for receipt in event.receipts:
            self._receipts.add((receipt.status,))
        if event.degenerate is not None:
            self._degenerate.add((arm, self._codes.of(event.degenerate)))
        if event.code.startswith(_UPSTREAM):
            self._upstream.add((self._codes.of(event.code),))
            if event.code == _TRUNCATED:
                self._truncated.add()

    def text(self, readings: Readings) -> bytes:
        """The exposition format, version 0.0.4."""
        registry = CollectorRegistry()
        with self._lock:
            registry.register(_Scrape((*self._series.families(), *self._read(readings))))
        return generate_latest(registry)

    def _read(self, now: Readings) -> Iterator[Metric]:
        yield gauge("steering_in_flight", "Requests past admission.", now.in_flight)
        yield gauge("steering_event_queue", "Events not yet in the store.", now.event_queue)
        yield gauge("steering_killed", "1 while all steering is off.", now.killed)
        yield gauge("steering_tracing_stopped", "1 once traces could not be written.", not self._tracing)
        yield total("steering_untraced_requests", "Requests whose trace was not written.", now.untraced)
        yield gauge("steering_budget_leases", "Open reservations of this process.", len(self._leases))
        yield from self._budget(now.standings)
        yield from gauges("steering_build_info", "1, with the version.", "version", {self._version: 1})

    def _budget(self, standings: Sequence[Standing]) -> Iterator[Metric]:
        used: dict[str, float] = {}
        reserved: dict[str, float] = {}
        for standing in standings:
            pool = self._pools.of(standing.pool)
            ratio = standing.used / standing.limit if standing.limit else 1.0
            used[pool] = max(used.get(pool, 0.0), ratio)
            if standing.field == "tokens":
                reserved[pool] = reserved.get(pool, 0.0) + standing.reserved
        told = "Share of the limit that is used, of the field nearest to it."
        yield from gauges("steering_budget_used_ratio", told, "pool", used)
        yield from gauges("steering_budget_reserved_tokens", "Tokens held by leases.", "pool", reserved)


class _Scrape(Collector):
    """What one scrape reads."""

    def __init__(self, families: Sequence[Metric]) -> None:
        self._families = families

    def collect(self) -> Sequence[Metric]:
        """The families."""
        return self._families
