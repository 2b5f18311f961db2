"""Spans as OTLP JSON: what any tool that reads OpenTelemetry, our own promotion night too, can be given.

https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding: ids in hex, 64-bit numbers as strings, enumerations as
numbers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

from msgspec.structs import replace

from symposia.core.receipt import Receipt
from symposia.core.redact import Redactor
from symposia.core.served import Applied, RequestServed
from symposia.core.trace import Trace
from symposia.core.usage import Usage

from .genai import OURSELVES, REQUEST_STREAM, Attributes, Beyond, Span, nanoseconds, span
from .traceparent import alone

_SERVER, _ERROR = 2, 2


def document(spans: Iterable[Span], version: str) -> dict[str, Any]:
    """One document: our resource and scope, and the spans."""
    named: Attributes = {"service.name": OURSELVES, "service.version": version}
    scoped = {"scope": {"name": OURSELVES, "version": version}, "spans": [_span(each) for each in spans]}
    return {"resourceSpans": [{"resource": {"attributes": _attributes(named)}, "scopeSpans": [scoped]}]}


def span_of(trace: Trace, redactor: Redactor) -> Span:
    """The span of a request that was traced, with what was said. Its own id follows from the request's."""
    digest = hashlib.sha256(trace.request_id.encode())
    where = replace(
        alone(trace.trace_id, lambda size: digest.digest()[:size]), span_id=digest.hexdigest()[:16]
    )
    beyond = Beyond(
        context=where,
        conversation=trace.conversation,
        response_model=next((made.served.model for made in trace.generations), ""),
        messages=trace.messages,
        response=trace.response,
    )
    ended = trace.time + trace.latency_ms / 1000
    made = span(ended, _event(trace), beyond, redactor, content=True, latest=True)
    told = {name: value for name, value in made.attributes.items() if name != REQUEST_STREAM}  # not traced
    return replace(made, attributes=told)


def _event(trace: Trace) -> RequestServed:
    used = trace.usage or Usage()
    failed = trace.flags.error is not None
    finish = trace.response.finish_reason if trace.response else None
    return RequestServed(
        request_id=trace.request_id,
        model=trace.model,
        profile=trace.profile,
        revision=trace.revision,
        arm=trace.arm,
        canary=trace.canary,
        unit_hash=trace.unit_hash,
        status=trace.status,
        outcome="error" if failed else "ok",
        code=trace.flags.error or "",
        finish_reasons=(finish,) if finish else (),
        prompt_tokens=used.input_tokens,
        completion_tokens=used.output_tokens,
        cached_tokens=used.cached_tokens,
        reasoning_tokens=used.reasoning_tokens,
        latency_ms=trace.latency_ms,
        applied=_applied(trace.receipts),
        degenerate=trace.flags.degenerate,
    )


def _applied(receipts: tuple[Receipt, ...]) -> Applied | None:
    if not receipts:
        return None
    return "true" if all(receipt.status == "applied" for receipt in receipts) else "degraded"


def _span(told: Span) -> dict[str, Any]:
    where = told.context
    return {
        "traceId": where.trace_id,
        "spanId": where.span_id,
        **({"parentSpanId": where.parent_id} if where.parent_id else {}),
        "name": told.name,
        "kind": _SERVER,
        "startTimeUnixNano": str(nanoseconds(told.start)),
        "endTimeUnixNano": str(nanoseconds(told.end)),
        "attributes": _attributes(told.attributes),
        "events": [
            {
                "timeUnixNano": str(nanoseconds(event.time)),
                "name": event.name,
                "attributes": _attributes(event.attributes),
            }
            for event in told.events
        ],
        "status": {"code": _ERROR, "message": told.error} if told.error else {},
    }


def _attributes(told: Attributes) -> list[dict[str, Any]]:
    return [{"key": name, "value": _value(value)} for name, value in told.items()]


def _value(value: str | bool | float | list[str]) -> dict[str, Any]:
    match value:
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value}
        case str():
            return {"stringValue": value}
    return {"arrayValue": {"values": [_value(each) for each in value]}}
