"""`python benchmarks/observe.py [--json]`: what watching costs a served request, in CPU time of this process.

The events are a request's as the server makes them; the redactor knows an upstream's URL and key, as a gateway's does.
Lines go to a file of the temporary folder.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "src"))
sys.path.insert(0, str(Path(__file__).parent))

from text_column import Row, at_most, best, machine, told

from symposia.core.redact import Redactor
from symposia.core.request import ServedBy
from symposia.core.served import BudgetDecision, BudgetSettled, Charged, RequestServed, ServerEvent
from symposia.core.trace import Answered, Generation, Piece, Said, Trace
from symposia.core.usage import Usage
from symposia.serve.ledger import Standing
from symposia.serve.log import Log
from symposia.serve.metrics import Metrics, Readings
from symposia.serve.traces import line

CALLS, TIMES, NOW = 2_000, 7, 1_790_000_000.0
REDACTOR = Redactor(
    {"INFERENCE_API_KEY": "sk-upstream-1234567890abcdef", "INFERENCE_BASE_URL": "http://inside.example/v1"}
)
CHARGE = Charged(pool="tiny/calm", field="tokens", amount=540, used=10_000, reserved=540, limit=1_000_000)
SERVED = RequestServed(
    request_id="req_0123456789abcdef01234567",
    key="abcdefghijkl",
    model="tiny",
    profile="calm",
    revision="sha256:" + "a1" * 32,
    arm="champion",
    unit_hash="b2" * 32,
    status=200,
    outcome="ok",
    finish_reasons=("stop",),
    prompt_tokens=28,
    completion_tokens=34,
    latency_ms=12.345,
    ttft_ms=3.2,
    backend_ms=11.9,
    applied="true",
    trace_id="c3" * 16,
)
HELD = BudgetDecision(
    decision="allowed",
    request_id=SERVED.request_id,
    model="tiny",
    profile="calm",
    key=SERVED.key,
    lease="lease_1",
    charges=(CHARGE,),
)
SETTLED = BudgetSettled(outcome="settled", lease="lease_1", amounts=(CHARGE,))
REQUEST = (HELD, SERVED, SETTLED)


def microseconds(call: Callable[[], object], calls: int = CALLS) -> float:
    """CPU of one call: the smallest of several runs."""

    def once() -> float:
        began = time.process_time()
        for _ in range(calls):
            call()
        return (time.process_time() - began) / calls * 1e6

    return best(TIMES, once)


def trace() -> Trace:
    """A request of a few messages whose reply came in 34 pieces."""
    pieces = tuple(Piece(float(i), "word ") for i in range(34))
    text = "".join(piece.text for piece in pieces)
    made = Generation(
        ask="sha256:" + "d4" * 32,
        pieces=pieces,
        finish_reason="stop",
        usage=Usage(input_tokens=28, output_tokens=34),
        served=ServedBy(endpoint="up", model="tiny"),
    )
    return Trace(
        trace_id=SERVED.trace_id,
        request_id=SERVED.request_id,
        time=NOW,
        model="tiny",
        messages=(
            Said(role="system", content="You are brief."),
            Said(role="user", content="Why? " * 40),
        ),
        response=Answered(message=Said(role="assistant", content=text), finish_reason="stop"),
        usage=made.usage,
        latency_ms=12.3,
        generations=(made,),
    )


def spans() -> Row:
    """A span and its measurements, content left out; who sends them is another thread."""
    try:
        from opentelemetry.sdk.metrics.export import InMemoryMetricReader
        from opentelemetry.sdk.trace import SpanProcessor
    except ModuleNotFoundError:
        return Row("a span", None, "us", "-", None, "no opentelemetry-sdk: pip install 'symposia[otel]'")
    from symposia.serve.otel import Telemetry

    telemetry = Telemetry(SpanProcessor(), InMemoryMetricReader(), REDACTOR, version="0")
    cost = microseconds(lambda: telemetry(NOW, SERVED), 500)
    telemetry.close()
    return Row("a span", cost, "us", "-", None, "only where a collector is named")


def rows() -> list[Row]:
    """Every row."""
    metrics = Metrics("0", REDACTOR)
    with tempfile.NamedTemporaryFile("w", encoding="utf-8") as file:
        log = Log(file.file, REDACTOR)
        kept = trace()

        def watched(*listeners: Callable[[float, ServerEvent], None]) -> Callable[[], None]:
            def request() -> None:
                for event in REQUEST:
                    for listener in listeners:
                        listener(NOW, event)

            return request

        pools = tuple(
            Standing(pool=f"tiny/p{i}", field="tokens", used=i, reserved=i, limit=1_000) for i in range(100)
        )
        return [
            at_most("metrics, an event", microseconds(lambda: metrics(NOW, SERVED)), 10, "us"),
            at_most("metrics, a request", microseconds(watched(metrics)), 15, "us", "held, served, settled"),
            Row("log, an event", microseconds(lambda: log(NOW, SERVED)), "us", "-", None, "a line written"),
            Row("metrics and log, a request", microseconds(watched(metrics, log)), "us", "-", None),
            Row(
                "a scrape, 100 pools",
                microseconds(lambda: metrics.text(Readings(standings=pools)), 20),
                "us",
                "-",
                None,
            ),
            Row(
                "a trace",
                microseconds(lambda: line(kept, REDACTOR), 200),
                "us",
                "-",
                None,
                "in a thread of its own",
            ),
            spans(),
        ]


def main() -> int:
    """Prints the table; 1 if a bar is missed."""
    return told(__doc__, rows, machine())


if __name__ == "__main__":
    raise SystemExit(main())
