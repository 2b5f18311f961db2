"""Telemetry: what a collector gets of a request, over real OTLP."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Sent
from opentelemetry.proto.trace.v1.trace_pb2 import Status
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from symposia.core.redact import Redactor
from symposia.core.served import Draining, RequestServed
from symposia.core.trace import Answered, Called, Said
from symposia.serve.genai import LATEST, Beyond, span
from symposia.serve.otel import Telemetry, over_http
from symposia.serve.traceparent import Context
from tests.occurrences import any_of, served
from tests.servers.collector import Collector, collector, plain

SECRET = "https://up.example/v1?key=hush-hush-42"
WHERE = Context(trace_id="a1" * 16, span_id="b2" * 8, parent_id="c3" * 8)
MESSAGES = (
    Said(role="developer", content="Be brief."),
    Said(role="user", content="What is 6 x 7?", name="ann"),
    Said(role="assistant", tool_calls=(Called(id="c1", name="times", arguments='{"a":6,"b":7}'),)),
    Said(role="tool", content="42", tool_call_id="c1"),
)
ANSWER = Answered(
    message=Said(role="assistant", content="42.", reasoning_content="The tool says so."), finish_reason="stop"
)


def beyond(**fields: Any) -> Beyond:
    return Beyond(**{"context": WHERE, "messages": MESSAGES, "response": ANSWER, **fields})


@contextmanager
def telemetry(held: Collector, **options: Any) -> Iterator[Telemetry]:
    made = over_http(held.url, Redactor({"UPSTREAM": SECRET}), version="1.2.3", **options)
    try:
        yield made
    finally:
        made.close()


def sent(event: RequestServed, told: Beyond | None = None, **options: Any) -> tuple[Sent, Collector]:
    with collector() as held:
        with telemetry(held, **options) as made:
            if told is not None:
                made.beyond(event.request_id, told)
            made(1_790_000_000.5, event)
            made(1_790_000_000.5, Draining(on=True, actor="a"))
        (one,) = held.spans
    return one, held


def test_a_request_is_a_server_span_of_its_callers_trace() -> None:
    """Kind, name, ids and times: our span is the one whose id the upstream was told."""
    one, held = sent(served(latency_ms=250.0), beyond())
    assert (one.name, one.kind) == ("chat tiny", Sent.SPAN_KIND_SERVER)
    assert (one.trace_id.hex(), one.span_id.hex(), one.parent_span_id.hex()) == (
        WHERE.trace_id,
        WHERE.span_id,
        WHERE.parent_id,
    )
    assert one.end_time_unix_nano - one.start_time_unix_nano == pytest.approx(250e6, rel=1e-3)
    assert one.end_time_unix_nano == pytest.approx(1_790_000_000.5e9, rel=1e-12)
    assert one.status.code == Status.STATUS_CODE_UNSET
    for resource in held.resources:
        assert resource["service.name"] == "symposia"
        assert resource["service.version"] == "1.2.3"


def test_attributes_are_the_conventions_and_ours() -> None:
    """What was asked, what came, and what was steered; nothing said unless it was asked for."""
    event = served(
        stream=True,
        cached_tokens=3,
        reasoning_tokens=2,
        arm="challenger",
        canary="cn_1",
        profile="calm",
        revision="sha256:ab",
        applied="degraded",
        degenerate="loop",
        unit_hash="u1",
    )
    told = beyond(provider="up", response_id="chatcmpl-1", response_model="tiny-1", conversation="c9")
    one, _ = sent(event, told)
    expected = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "up",
        "gen_ai.request.model": "tiny",
        "gen_ai.response.id": "chatcmpl-1",
        "gen_ai.response.model": "tiny-1",
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.usage.input_tokens": 10,
        "gen_ai.usage.output_tokens": 4,
        "gen_ai.conversation.id": "c9",
        "steering.profile.id": "calm",
        "steering.profile.revision": "sha256:ab",
        "steering.arm": "challenger",
        "steering.canary.id": "cn_1",
        "steering.applied": "degraded",
        "steering.degenerate": "loop",
    }
    assert plain(one.attributes) == expected
    (flag,) = one.events
    assert flag.name == "feature_flag.evaluation"
    assert plain(flag.attributes) == {
        "feature_flag.key": "cn_1",
        "feature_flag.result.variant": "challenger",
        "feature_flag.context.id": "u1",
        "feature_flag.version": "sha256:ab",
        "feature_flag.provider.name": "symposia",
    }
    latest, _ = sent(event, told, latest=True)
    newer = {
        "gen_ai.request.stream": True,
        "gen_ai.response.time_to_first_chunk": 0.005,
        "gen_ai.usage.cache_read.input_tokens": 3,
        "gen_ai.usage.reasoning.output_tokens": 2,
    }
    assert set(newer) == LATEST
    assert plain(latest.attributes) == {**expected, **newer}


def test_content_is_there_only_where_asked_for() -> None:
    """Messages by role and typed parts, as JSON."""
    one, _ = sent(served(), beyond(), content=True)
    told = plain(one.attributes)
    assert json.loads(told["gen_ai.input.messages"]) == [
        {"role": "system", "parts": [{"type": "text", "content": "Be brief."}]},
        {"role": "user", "name": "ann", "parts": [{"type": "text", "content": "What is 6 x 7?"}]},
        {
            "role": "assistant",
            "parts": [{"type": "tool_call", "id": "c1", "name": "times", "arguments": '{"a":6,"b":7}'}],
        },
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1", "response": "42"}]},
    ]
    assert json.loads(told["gen_ai.output.messages"]) == [
        {
            "role": "assistant",
            "parts": [
                {"type": "reasoning", "content": "The tool says so."},
                {"type": "text", "content": "42."},
            ],
            "finish_reason": "stop",
        }
    ]
    bare, held = sent(served(), beyond())
    assert not {name for name in plain(bare.attributes) if "messages" in name}
    assert b"6 x 7" not in held.raw


def test_only_failures_are_errors() -> None:
    """Any status of 4xx is the caller's. 5xx, also while full, and streams that broke off are ours: the code is why."""
    for status, outcome, code, said in (
        (502, "error", "provider_timeout", Status.STATUS_CODE_ERROR),
        (200, "error", "provider_stream_truncated", Status.STATUS_CODE_ERROR),
        (503, "refused", "server_is_overloaded", Status.STATUS_CODE_ERROR),
        (429, "refused", "steering_budget_exceeded", Status.STATUS_CODE_UNSET),
        (400, "error", "said_by_the_upstream", Status.STATUS_CODE_UNSET),
    ):
        one, _ = sent(served(status=status, outcome=outcome, code=code))
        assert (one.status.code, one.status.message) == (said, code if said else "")
        assert plain(one.attributes)["error.type"] == code
    left, _ = sent(served(status=499, outcome="cancelled"))
    assert left.status.code == Status.STATUS_CODE_UNSET
    assert "error.type" not in plain(left.attributes)


def test_a_trace_nobody_wants_is_not_sent() -> None:
    """The caller's flag says whether its trace is kept; the measurements count the request all the same."""
    unwanted = msgspec.structs.replace(WHERE, sampled=False)
    with collector() as held:
        with telemetry(held) as made:
            made.beyond("req_1", beyond(context=unwanted))
            made(0.0, served())
        assert held.spans == []
        assert held.points["gen_ai.server.request.duration"][0].count == 1


def test_measurements() -> None:
    """Durations of all, first tokens of those that went well, in seconds, by model and error."""
    with collector() as held:
        with telemetry(held) as made:
            for event in (
                served(latency_ms=2000.0, ttft_ms=30.0),
                served(latency_ms=1000.0, ttft_ms=70.0),
                served(latency_ms=500.0, ttft_ms=9.0, status=502, outcome="error", code="provider_timeout"),
            ):
                made(1.0, event)
        durations = {
            plain(p.attributes).get("error.type"): p for p in held.points["gen_ai.server.request.duration"]
        }
        (first,) = held.points["gen_ai.server.time_to_first_token"]
    assert (durations[None].count, durations[None].sum) == (2, 3.0)
    assert (durations["provider_timeout"].count, durations["provider_timeout"].sum) == (1, 0.5)
    assert plain(durations[None].attributes) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "symposia",
        "gen_ai.request.model": "tiny",
    }
    assert (first.count, first.sum) == (2, pytest.approx(0.1))
    assert list(first.explicit_bounds)[:3] == [0.001, 0.005, 0.01]


@given(st.data())
def test_no_field_of_a_span_shows_a_secret(data: st.DataObject) -> None:
    """Of whatever words, asked for content and all: neither a known secret nor what looks like a key."""
    words = st.sampled_from([SECRET, f"line\n{SECRET}", "\nsk-" + "a1" * 12, "Bearer abcdefgh12345678"])
    event = data.draw(any_of(RequestServed, words))
    told = beyond(
        provider=data.draw(words),
        response_id=data.draw(words),
        response_model=data.draw(words),
        conversation=data.draw(words),
        messages=tuple(data.draw(st.lists(any_of(Said, words), max_size=3))),
        response=data.draw(any_of(Answered, words)),
    )
    made = span(9.0, event, told, Redactor({"UPSTREAM": SECRET}), content=True, latest=True)
    raw = msgspec.json.encode(made).decode()
    for hidden in (SECRET, "hush", "a1a1a1" * 4, "abcdefgh12345678"):
        assert hidden not in raw.replace(WHERE.trace_id, "")


@settings(max_examples=5)
@given(st.lists(any_of(RequestServed, st.just(SECRET)), min_size=1, max_size=5))
def test_no_secret_reaches_the_collector(events: list[RequestServed]) -> None:
    """Bytes on the wire, spans and measurements; with an event's words alone, and with all that was said."""
    with collector() as held:
        with telemetry(held, content=True, latest=True) as made:
            for event in events:
                made(1_790_000_000.0, event)
                made.beyond(event.request_id, beyond(messages=(Said(role="user", content=SECRET),)))
                made(1_790_000_000.0, event)
        assert len(held.spans) == 2 * len(events)
        assert b"hush" not in held.raw


def test_a_collector_that_hangs_holds_up_nobody() -> None:
    """The server ends while the collector still thinks about its answer."""
    answered = threading.Event()

    class Hanging(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            answered.wait(60)
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hanging)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.server_port}"
        spans = BatchSpanProcessor(OTLPSpanExporter(f"{url}/v1/traces"))
        metrics = PeriodicExportingMetricReader(OTLPMetricExporter(f"{url}/v1/metrics"))
        made = Telemetry(spans, metrics, Redactor({}), version="1", patience_s=0.2)
        made(1_790_000_000.0, served())
        made.close()
        assert not answered.is_set()
    finally:
        answered.set()
        server.shutdown()
        thread.join()
        server.server_close()


def test_telemetry_costs_nothing_where_it_is_off() -> None:
    """Whoever does not ask for it never imports it."""
    modules = "symposia.serve.metrics, symposia.serve.log, symposia.serve.genai, symposia.serve.traces"
    asked = f"import sys, {modules}; sys.exit(any(m.startswith('opentelemetry') for m in sys.modules))"
    assert subprocess.run([sys.executable, "-c", asked], check=False).returncode == 0
