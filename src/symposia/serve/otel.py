"""Spans and metrics to an OpenTelemetry collector: the same events, in the GenAI conventions' words.

Imported only where a collector is configured. What the SDK itself can be told (`OTEL_*`: sampler, headers, service
name, how often it sends) it reads as everywhere.
"""

from __future__ import annotations

import threading
from secrets import token_bytes

from opentelemetry import trace as api
from opentelemetry.context import Context as Carried
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import IdGenerator

from symposia.core.redact import Redactor
from symposia.core.served import RequestServed, ServerEvent

from .genai import (
    CHAT,
    DURATION,
    ERROR,
    FIRST_TOKEN,
    OPERATION,
    OURSELVES,
    PROVIDER,
    REQUEST_MODEL,
    Beyond,
    Span,
    nanoseconds,
    span,
)
from .series import Names
from .traceparent import Context, alone

DURATION_S = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
FIRST_TOKEN_S = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)


class Telemetry:
    """A listener of server events, from any thread. Close it: what is still here is sent first.

    `content`: messages and replies are sent too. `latest`: attributes newer than the conventions' version 1.37.
    """

    def __init__(
        self,
        spans: SpanProcessor,
        metrics: MetricReader,
        redactor: Redactor,
        *,
        version: str,
        content: bool = False,
        latest: bool = False,
        patience_s: float = 5.0,
    ) -> None:
        self._redactor, self._content, self._latest = redactor, content, latest
        self._patience_s = patience_s
        ours = Resource({"service.name": OURSELVES, "service.version": version})
        resource, self._ids = ours.merge(OTELResourceDetector().detect()), _Given()
        self._spans = TracerProvider(resource=resource, id_generator=self._ids, shutdown_on_exit=False)
        self._spans.add_span_processor(spans)
        self._metrics = MeterProvider([metrics], resource, shutdown_on_exit=False)
        self._tracer = self._spans.get_tracer(OURSELVES, version)
        meter = self._metrics.get_meter(OURSELVES, version)
        self._duration = meter.create_histogram(
            DURATION, "s", "First byte in, last byte out.", explicit_bucket_boundaries_advisory=DURATION_S
        )
        self._first_token = meter.create_histogram(
            FIRST_TOKEN,
            "s",
            "First byte in, first piece out.",
            explicit_bucket_boundaries_advisory=FIRST_TOKEN_S,
        )
        self._models, self._codes = Names(redactor), Names(redactor)
        self._beyond: dict[str, Beyond] = {}
        self._lock = threading.Lock()

    def beyond(self, request_id: str, beyond: Beyond) -> None:
        """What the span of a request shall say that its event does not; before the event."""
        self._beyond[request_id] = beyond

    def __call__(self, time: float, event: ServerEvent) -> None:
        """A request that ended is a span and two measurements."""
        if not isinstance(event, RequestServed):
            return
        beyond = self._beyond.pop(event.request_id, None) or Beyond(
            context=alone(event.trace_id, token_bytes)
        )
        self._measure(event, beyond)
        self._keep(span(time, event, beyond, self._redactor, content=self._content, latest=self._latest))

    def _measure(self, event: RequestServed, beyond: Beyond) -> None:
        known = not 400 <= event.status < 429  # as in `metrics`: names of nothing take no label
        labels = {
            OPERATION: CHAT,
            PROVIDER: beyond.provider,
            REQUEST_MODEL: self._models.of(event.model, new=known),
        }
        if event.outcome != "ok" and event.code:
            labels[ERROR] = self._codes.of(event.code)
        self._duration.record(event.latency_ms / 1000, labels)
        if event.outcome == "ok" and event.ttft_ms is not None:
            self._first_token.record(event.ttft_ms / 1000, labels)

    def _keep(self, kept: Span) -> None:
        where = kept.context
        with self._lock:
            self._ids.next = where
            started = self._tracer.start_span(
                kept.name,
                _parent(where),
                api.SpanKind.SERVER,
                kept.attributes,
                start_time=nanoseconds(kept.start),
            )
        for event in kept.events:
            started.add_event(event.name, event.attributes, nanoseconds(event.time))
        if kept.error:
            started.set_status(api.StatusCode.ERROR, kept.error)
        started.end(nanoseconds(kept.end))

    def close(self) -> None:
        """Send what is there, and end; a collector that does not answer is not waited for beyond `patience_s`."""
        ends = [
            threading.Thread(target=end, name="symposia-telemetry", daemon=True)
            for end in (self._spans.shutdown, self._metrics.shutdown)
        ]
        for each in ends:
            each.start()
        for each in ends:
            each.join(self._patience_s / len(ends))


def over_http(
    endpoint: str, redactor: Redactor, *, version: str, content: bool = False, latest: bool = False
) -> Telemetry:
    """Telemetry to a collector that speaks OTLP over HTTP; `endpoint` is its base URL."""
    base = endpoint.rstrip("/")
    spans = BatchSpanProcessor(OTLPSpanExporter(f"{base}/v1/traces"))
    metrics = PeriodicExportingMetricReader(OTLPMetricExporter(f"{base}/v1/metrics"))
    return Telemetry(spans, metrics, redactor, version=version, content=content, latest=latest)


class _Given(IdGenerator):
    """The ids a span had from its beginning: those we called have heard them already."""

    def __init__(self) -> None:
        self.next = alone("", token_bytes)

    def generate_span_id(self) -> int:
        return int(self.next.span_id, 16)

    def generate_trace_id(self) -> int:
        return int(self.next.trace_id, 16)


def _parent(where: Context) -> Carried:
    """The caller's span, as a context of the SDK's; an empty one where there is none."""
    if not where.parent_id:
        return Carried()
    parent = api.SpanContext(
        int(where.trace_id, 16), int(where.parent_id, 16), True, api.TraceFlags(int(where.sampled))
    )
    return api.set_span_in_context(api.NonRecordingSpan(parent), Carried())
