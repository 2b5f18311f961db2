"""OTLP JSON: what the protocol's own messages read from it is what was traced."""

from __future__ import annotations

import base64
import json
from typing import Any

import msgspec
from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status, TracesData

from symposia.core.redact import Redactor
from symposia.core.trace import Said, Trace
from symposia.serve.otlp import document, span_of
from tests.occurrences import any_of
from tests.servers.collector import plain
from tests.traced import CALLED, DAY, failed, traced


def exported(*traces: Trace) -> Any:
    """The document as protobuf reads it; OTLP writes ids in hex where protobuf's own JSON has base64."""
    told = json.loads(msgspec.json.encode(document([span_of(t, Redactor({})) for t in traces], "1.2.3")))
    for resource in told["resourceSpans"]:
        for scope in resource["scopeSpans"]:
            for span in scope["spans"]:
                for name in ("traceId", "spanId", "parentSpanId"):
                    if name in span:
                        span[name] = base64.b64encode(bytes.fromhex(span[name])).decode()
    return json_format.Parse(json.dumps(told), TracesData())


def spans(read: Any) -> list[Span]:
    return [
        span for resource in read.resource_spans for scope in resource.scope_spans for span in scope.spans
    ]


def test_a_trace_is_a_span_with_what_was_said() -> None:
    """Ids, times, model, tokens, messages, reply."""
    trace = traced(messages=(Said(role="user", content="6 x 7?"), CALLED), conversation="c9")
    read = exported(trace)
    (span,) = spans(read)
    told = plain(span.attributes)
    assert plain(read.resource_spans[0].resource.attributes)["service.name"] == "symposia"
    assert (span.name, span.kind, span.trace_id.hex()) == ("chat tiny", Span.SPAN_KIND_SERVER, trace.trace_id)
    assert span.start_time_unix_nano == (DAY + 3600) * 10**9
    assert span.end_time_unix_nano - span.start_time_unix_nano == 250 * 10**6
    assert told["gen_ai.operation.name"] == "chat"
    assert told["gen_ai.conversation.id"] == "c9"
    assert told["gen_ai.response.model"] == "tiny-1"
    assert told["gen_ai.response.finish_reasons"] == ["stop"]
    assert (told["gen_ai.usage.input_tokens"], told["gen_ai.usage.output_tokens"]) == (10, 2)
    asked, called = json.loads(told["gen_ai.input.messages"])
    assert asked == {"role": "user", "parts": [{"type": "text", "content": "6 x 7?"}]}
    assert called["parts"][0]["name"] == "times"
    (answer,) = json.loads(told["gen_ai.output.messages"])
    assert (answer["parts"][0]["content"], answer["finish_reason"]) == ("42.", "stop")
    assert "gen_ai.request.stream" not in told  # a trace does not say


def test_a_failed_request_is_a_failed_span() -> None:
    """With its code."""
    (span,) = spans(exported(failed()))
    assert (span.status.code, span.status.message) == (Status.STATUS_CODE_ERROR, "provider_timeout")


def test_requests_have_spans_of_their_own() -> None:
    """One trace, two requests: two ids, and the same ones whenever they are exported."""
    first, second = traced(), replace(traced(), request_id="req_2")
    ids = [span.span_id for span in spans(exported(first, second))]
    assert len(set(ids)) == 2
    assert [span.span_id for span in spans(exported(first, second))] == ids


@given(st.lists(any_of(Trace), max_size=3))
def test_any_trace_can_be_exported(traces: list[Trace]) -> None:
    """Whatever it holds, protobuf reads it."""
    assert len(spans(exported(*traces))) == len(traces)
