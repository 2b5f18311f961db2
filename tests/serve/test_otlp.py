"""OTLP JSON: what the protocol's own messages read from it is what was traced."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import httpx2
import msgspec
from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status, TracesData

from symposia.backends import Replay
from symposia.backends.scripted import Fault
from symposia.core.clock import SystemClock
from symposia.core.redact import Redactor
from symposia.core.trace import Flags, Said, Trace
from symposia.core.value import decode
from symposia.serve.otlp import document, span_of
from symposia.serve.traces import Traces
from tests.occurrences import any_of
from tests.servers.collector import plain
from tests.serving import Serving, scripted
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
    """With its code; one that was refused is not."""
    refused = traced(answer=None, status=429, flags=Flags(error="steering_budget_exceeded"))
    cut = traced(flags=Flags(error="provider_stream_truncated"))
    told = [(span.status.code, span.status.message) for span in spans(exported(failed(), cut, refused))]
    assert told == [
        (Status.STATUS_CODE_ERROR, "provider_timeout"),
        (Status.STATUS_CODE_ERROR, "provider_stream_truncated"),
        (Status.STATUS_CODE_UNSET, ""),
    ]
    assert plain(spans(exported(refused))[0].attributes)["error.type"] == "steering_budget_exceeded"


def test_a_server_traces_the_status_it_gave(tmp_path: Path) -> None:
    """What it failed at, what it answered, and what it refused."""
    failing = scripted(faults=[Fault(cause="timeout")])
    serving = Serving({"m": failing, "empty": Replay([], SystemClock())})
    serving.server.traces = Traces(tmp_path, Redactor({}), serving.server.emit)
    with serving:
        for model in ("m", "m", "empty"):
            ask = {"model": model, "messages": [{"role": "user", "content": "hi"}]}
            httpx2.post(f"{serving.url}/chat/completions", json=ask)
        assert [event.status for event in serving.settled(3)] == [504, 200, 400]
    (path,) = tmp_path.glob("*.jsonl")
    traces = [decode(line, Trace) for line in path.read_bytes().splitlines()]
    assert [trace.status for trace in traces] == [504, 200, 400]
    told = [span.status.code for span in spans(exported(*traces))]
    assert told == [Status.STATUS_CODE_ERROR, Status.STATUS_CODE_UNSET, Status.STATUS_CODE_UNSET]


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
