"""Metrics are a fold: what a scrape says is what a recount of the events says, by the library's own parser."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from prometheus_client.parser import text_string_to_metric_families

from symposia.core.receipt import Receipt, TokenCounts
from symposia.core.redact import Redactor
from symposia.core.served import (
    AuthRefused,
    BudgetDecision,
    BudgetSettled,
    LedgerDown,
    RequestServed,
    TracingStopped,
)
from symposia.serve.ledger import Standing
from symposia.serve.metrics import DURATION_S, Metrics, Readings
from symposia.serve.series import MOST, OTHER
from tests.occurrences import any_event, any_of, served

PLAIN = Redactor({})
RECEIPT = Receipt(
    intervention="i",
    name="warm",
    op="add",
    vector="v",
    site="residual",
    status="applied",
    history="scoped",
    tokens=TokenCounts(),
    runs=(),
    layers=(),
)
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def folded(*events: Any) -> Metrics:
    metrics = Metrics("1.2.3", PLAIN)
    for event in events:
        metrics(0.0, event)
    return metrics


def scraped(metrics: Metrics, **readings: Any) -> Samples:
    families = text_string_to_metric_families(metrics.text(Readings(**readings)).decode())
    return {(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples}


def of(samples: Samples, name: str, **labels: str) -> float:
    """The sum of a metric's samples that have these labels."""
    wanted = set(labels.items())
    return sum(value for (named, has), value in samples.items() if named == name and wanted <= has)


@given(st.lists(any_of(RequestServed), max_size=8))
def test_requests_recount(events: list[RequestServed]) -> None:
    """Requests, durations, tokens, receipts and upstream errors are as many as the events say."""
    samples = scraped(folded(*events))
    assert of(samples, "steering_requests_total") == len(events)
    for outcome, count in Counter(e.outcome for e in events).items():
        assert of(samples, "steering_requests_total", outcome=outcome) == count
    for status, count in Counter(e.status for e in events).items():
        assert of(samples, "steering_requests_total", status=str(status)) == count
    for arm, count in Counter(e.arm for e in events).items():
        assert of(samples, "steering_request_duration_seconds_count", arm=arm) == count
    assert of(samples, "steering_ttft_seconds_count") == sum(e.ttft_ms is not None for e in events)
    for kind, count in (
        ("prompt", sum(e.prompt_tokens for e in events)),
        ("completion", sum(e.completion_tokens for e in events)),
        ("cached", sum(e.cached_tokens for e in events)),
        ("reasoning", sum(e.reasoning_tokens for e in events)),
    ):
        assert of(samples, "steering_tokens_total", kind=kind) == count
    assert of(samples, "steering_receipts_total") == sum(len(e.receipts) for e in events)
    assert of(samples, "steering_degenerate_total") == sum(e.degenerate is not None for e in events)


@given(st.lists(any_event(), max_size=8))
def test_other_events_recount(events: list[Any]) -> None:
    """Refusals at the door, budget decisions, expired leases and a lost ledger are counted, each event once."""
    samples = scraped(folded(*events))
    for name, kind in (
        ("steering_auth_failures_total", AuthRefused),
        ("steering_budget_decisions_total", BudgetDecision),
        ("steering_ledger_down_total", LedgerDown),
        ("steering_requests_total", RequestServed),
    ):
        assert of(samples, name) == sum(isinstance(e, kind) for e in events)
    expired = sum(isinstance(e, BudgetSettled) and e.outcome == "expired" for e in events)
    assert of(samples, "steering_budget_lease_expired_total") == expired
    assert of(samples, "steering_tracing_stopped") == any(isinstance(e, TracingStopped) for e in events)


@given(st.lists(st.floats(0, 2e6, allow_nan=False), min_size=1, max_size=20))
def test_buckets_hold_what_does_not_exceed_them(latencies_ms: list[float]) -> None:
    """Each bucket counts the values up to its bound; the sum is theirs."""
    samples = scraped(folded(*(served(latency_ms=ms) for ms in latencies_ms)))
    name = "steering_request_duration_seconds"
    for bound in DURATION_S:
        within = sum(ms / 1000 <= bound for ms in latencies_ms)
        (value,) = (
            v for (n, has), v in samples.items() if n == f"{name}_bucket" and float(dict(has)["le"]) == bound
        )
        assert value == within
    assert of(samples, f"{name}_bucket", le="+Inf") == len(latencies_ms)
    assert abs(of(samples, f"{name}_sum") - sum(latencies_ms) / 1000) < 1e-6 * (1 + sum(latencies_ms))


def test_a_value_on_a_bound_is_within_it() -> None:
    """As Prometheus reads `le`."""
    samples = scraped(folded(*(served(latency_ms=bound * 1000) for bound in DURATION_S)))
    for count, bound in enumerate(DURATION_S, start=1):
        assert of(samples, "steering_request_duration_seconds_bucket", le=f"{bound:g}") == count


def test_overhead_is_what_the_model_did_not_take() -> None:
    """Latency less backend time, never below zero."""
    samples = scraped(
        folded(served(latency_ms=20.0, backend_ms=15.0), served(latency_ms=1.0, backend_ms=2.0))
    )
    assert of(samples, "steering_gateway_overhead_seconds_sum") == 0.005
    assert of(samples, "steering_gateway_overhead_seconds_count") == 2


def test_upstream_failures_go_by_their_code() -> None:
    """Only a provider's failures are the upstream's; a truncation is counted twice, once as itself."""
    codes = ("provider_timeout", "provider_stream_truncated", "steering_budget_exceeded", "")
    samples = scraped(folded(*(served(outcome="error", code=code) for code in codes)))
    assert of(samples, "steering_upstream_errors_total") == 2
    assert of(samples, "steering_upstream_errors_total", code="provider_timeout") == 1
    assert of(samples, "steering_stream_truncated_total") == 1


def test_names_are_bounded() -> None:
    """The first 200 profiles, then `other`; nothing is lost of the count."""
    metrics = folded(*(served(profile=f"p{i}") for i in range(MOST + 50)))
    samples = scraped(metrics)
    profiles = {dict(has)["profile"] for name, has in samples if name == "steering_requests_total"}
    assert len(profiles) == MOST + 1
    assert of(samples, "steering_requests_total", profile=OTHER) == 50
    assert of(samples, "steering_requests_total") == MOST + 50


def test_a_stranger_cannot_fill_the_names() -> None:
    """Requests for models that are not there make no label, and take no place from those that are."""
    lost = (
        served(model=f"made-up-{i}", status=404, outcome="refused", code="model_not_found")
        for i in range(MOST + 50)
    )
    samples = scraped(folded(*lost, served(model="tiny")))
    assert of(samples, "steering_requests_total", model="tiny") == 1
    assert of(samples, "steering_requests_total", model=OTHER) == MOST + 50


def test_leases_are_those_not_settled() -> None:
    """Held and not yet settled, whatever ended them; a second settlement changes nothing."""
    held = [
        BudgetDecision(decision="allowed", request_id="r", model="m", profile="p", key="k", lease=lease)
        for lease in ("a", "b", "c")
    ]
    refused = replace(held[0], decision="blocked", lease="")
    ends = [BudgetSettled(outcome="settled", lease="a"), BudgetSettled(outcome="expired", lease="b")]
    late = BudgetSettled(outcome="late", lease="b")
    assert of(scraped(folded(*held, refused)), "steering_budget_leases") == 3
    assert of(scraped(folded(*held, *ends)), "steering_budget_leases") == 1
    assert of(scraped(folded(*held, *ends, late)), "steering_budget_leases") == 1


def test_readings_are_taken_when_asked() -> None:
    """In flight, queue, kill switch, and each pool: the fuller field's ratio, and the tokens held."""
    pools = (
        Standing(pool="tiny/calm", field="requests", used=9, reserved=1, limit=10),
        Standing(pool="tiny/calm", field="tokens", used=50, reserved=30, limit=100),
        Standing(pool="none left", field="requests", used=0, reserved=0, limit=0),
    )
    samples = scraped(folded(), in_flight=3, event_queue=7, killed=True, standings=pools, untraced=2)
    assert of(samples, "steering_in_flight") == 3
    assert of(samples, "steering_event_queue") == 7
    assert of(samples, "steering_killed") == 1
    assert of(samples, "steering_untraced_requests_total") == 2
    assert of(samples, "steering_budget_used_ratio", pool="tiny/calm") == 0.9
    assert of(samples, "steering_budget_used_ratio", pool="none left") == 1
    assert of(samples, "steering_budget_reserved_tokens", pool="tiny/calm") == 30
    assert of(samples, "steering_build_info", version="1.2.3") == 1
    assert of(scraped(folded()), "steering_killed") == 0


def test_unknown_upstream_fields_are_counted_by_name() -> None:
    """A field of the upstream's that is not relayed leaves its name."""
    metrics = folded()
    for field in ("x_groq", "x_groq", "provider"):
        metrics.unknown_field(field)
    samples = scraped(metrics)
    assert of(samples, "steering_upstream_unknown_fields_total", field="x_groq") == 2
    assert of(samples, "steering_upstream_unknown_fields_total") == 3


@given(st.lists(any_event(), max_size=5), st.text(max_size=20))
def test_every_scrape_is_well_formed(events: list[Any], field: str) -> None:
    """Whatever the names hold, each line is a comment or a sample of a `steering_` metric without colons."""
    metrics = folded(*events)
    metrics.unknown_field(field)
    text = metrics.text(Readings()).decode()
    assert text.endswith("\n")
    for line in text.removesuffix("\n").split("\n"):
        assert re.match(r"# (HELP|TYPE) steering_[a-z_]+ |steering_[a-z_]+(\{.*\})? [-+.e\d]+$", line), line
    list(text_string_to_metric_families(text))


def test_the_documents_list_every_metric() -> None:
    """The table of docs/observability.md has each metric with its labels, and no other."""
    page = (Path(__file__).parents[2] / "docs" / "observability.md").read_text(encoding="utf-8")
    listed = {
        name: tuple(filter(None, labels.strip().split(", ")))
        for name, labels in re.findall(r"^\| `(steering_\w+)` \|([^|]*)\|", page, re.MULTILINE)
    }
    told = folded(
        served(degenerate="loop", outcome="error", code="provider_timeout", receipts=(RECEIPT,)),
        AuthRefused(request_id="r", reason="missing"),
        BudgetDecision(decision="allowed", request_id="r", model="m", profile="p", key="k"),
        LedgerDown(request_id="r", admitted=True),
    )
    told.unknown_field("x")
    pool = Standing(pool="a", field="tokens", used=1, reserved=1, limit=10)
    found = {
        re.sub("_(bucket|sum|count)$", "", name): tuple(label for label, _ in has if label != "le")
        for name, has in scraped(told, standings=(pool,))
    }
    assert {name: set(labels) for name, labels in found.items()} == {n: set(ls) for n, ls in listed.items()}


def test_secrets_are_no_labels() -> None:
    """Known keys and what looks like one go from every name that becomes a label."""
    secret, shaped = "upstream.example/v1?k=hush-hush", "sk-" + "a1" * 12
    metrics = Metrics("1", Redactor({"upstream": secret}))
    for word in (secret, shaped):
        metrics(0.0, served(model=word, profile=word, code=f"provider_{word}", degenerate=word))
        metrics(0.0, AuthRefused(request_id=word, reason=word, key=word))
        metrics.unknown_field(word)
    pool = Standing(pool=secret, field="tokens", used=1, reserved=1, limit=10)
    text = metrics.text(Readings(standings=(pool,))).decode()
    assert secret not in text
    assert shaped not in text
    assert text.count("[redacted:upstream]") >= 6


@given(
    st.lists(any_event(st.sampled_from(["https://up.example?k=hush-hush", "\nsk-" + "a1" * 12])), max_size=5)
)
def test_no_field_of_an_event_shows_a_secret(events: list[Any]) -> None:
    """A secret in any word of any event is in no label."""
    metrics = Metrics("1", Redactor({"upstream": "https://up.example?k=hush-hush"}))
    for event in events:
        metrics(0.0, event)
    text = metrics.text(Readings()).decode()
    assert "hush" not in text
    assert "a1" * 12 not in text
