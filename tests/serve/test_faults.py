"""Faults: the table row by row, every error of the product mapped, nothing secret said."""

from __future__ import annotations

import json
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symposia.backends.causes import classify
from symposia.core import errors
from symposia.core.errors import (
    BackendError,
    Cause,
    ContextOverflow,
    EmptySelection,
    InterventionNotApplied,
    InvalidInput,
    InvalidIntervention,
    SelectionMissed,
    SiteUnsupported,
    StoreUnreachable,
    SymposiaError,
    TemplateError,
    UnknownModel,
    UnsupportedRequest,
    VectorNotFound,
)
from symposia.core.redact import Redactor
from symposia.core.request import Completion, ServedBy
from symposia.core.usage import Usage
from symposia.serve.faults import CONDITIONS, KEPT_STATUSES, OF_CAUSE, Fault, Served, View, fault_of, refused
from symposia.serve.faults.mapped import MOST_SAID, PHASES
from symposia.serve.ledger import Charge, LedgerUnreachable, Refusal, Standing

SECRET = "sk-upstream-0123456789abcdef"
URL = "http://10.1.2.3:9000/v1"
VIEW = View(Redactor({"upstream key": SECRET, "upstream": URL}))
INLINE = View(VIEW.redactor, inline=True)


def backend(cause: Cause, **more: object) -> BackendError:
    return BackendError(f"said by {URL} with {SECRET}", cause=cause, **more)  # type: ignore[arg-type]


def unsupported(kind: type[UnsupportedRequest], feature: str) -> UnsupportedRequest:
    return kind(endpoint="engine", model="m", feature=feature, way_out="leave it out")


COMPLETION = Completion(
    text="", finish_reason="stop", usage=Usage(), served=ServedBy(endpoint="e", model="m")
)

OVERFLOW = ContextOverflow(tokens=9, limit=8, speaker="a", reserve=2)
ASKED, BUSY = "invalid_request_error", "service_unavailable_error server_is_overloaded"
INVALID = "invalid_steering steering.interventions"

# Rows of the specification's table that an error of the product leads to:
# error, how it is viewed, "status type code param", headers that must be there
ROWS: list[tuple[BaseException, View, str, str]] = [
    (
        unsupported(UnsupportedRequest, "interventions"),
        VIEW,
        f"400 {ASKED} steering_profile_incompatible -",
        "",
    ),
    (unsupported(UnsupportedRequest, "interventions"), INLINE, f"400 {ASKED} {INVALID}", ""),
    (unsupported(VectorNotFound, "v"), VIEW, f"400 {ASKED} steering_profile_incompatible -", ""),
    (unsupported(SiteUnsupported, "v"), INLINE, f"400 {ASKED} {INVALID}", ""),
    (unsupported(EmptySelection, "v"), INLINE, f"400 {ASKED} {INVALID}", ""),
    (InvalidIntervention("x"), INLINE, f"400 {ASKED} {INVALID}", ""),
    (
        unsupported(UnsupportedRequest, "schema"),
        VIEW,
        f"400 {ASKED} unsupported_parameter response_format",
        "",
    ),
    (
        unsupported(UnsupportedRequest, "thinking=high"),
        VIEW,
        f"400 {ASKED} unsupported_parameter reasoning_effort",
        "",
    ),
    (OVERFLOW, VIEW, f"400 {ASKED} context_length_exceeded messages", ""),
    (UnknownModel("no model x"), VIEW, f"404 {ASKED} model_not_found model", ""),
    (InvalidInput("token id -1"), VIEW, f"400 {ASKED} invalid_value -", ""),
    (TemplateError("two users"), VIEW, f"400 {ASKED} invalid_value messages", ""),
    (InterventionNotApplied("x"), VIEW, "500 steering_error intervention_not_applied -", ""),
    (SelectionMissed("x", COMPLETION), VIEW, "500 steering_error intervention_missed -", ""),
    (LedgerUnreachable("x"), VIEW, f"503 {BUSY} -", "retry-after=1"),
    (StoreUnreachable("x"), VIEW, f"503 {BUSY} -", "retry-after=1"),
    (StoreUnreachable("x"), VIEW, f"503 {BUSY} -", "retry-after=1"),
    (backend("engine_error"), VIEW, "500 server_error engine_failed -", ""),
    (backend("cancelled"), VIEW, f"503 {BUSY} -", "retry-after=1"),
    (backend("too_large"), VIEW, f"503 {BUSY} -", "retry-after=1"),
    (ValueError("anything"), VIEW, "500 server_error internal_error -", ""),
    (
        backend("rate_limited", status=429, retry_after_s=7.0),
        VIEW,
        "529 provider_error provider_rate_limited -",
        "retry-after=7 retry-after-ms=7000 x-should-retry=true",
    ),
    (
        backend("quota_exhausted", status=429, code="insufficient_quota"),
        VIEW,
        "502 provider_error provider_quota_exhausted -",
        "x-should-retry=false",
    ),
    (backend("server_error", status=500), VIEW, "502 provider_error provider_internal_error -", ""),
    (
        backend("server_error", status=503, retry_after_s=2.2),
        VIEW,
        "502 provider_error provider_internal_error -",
        "retry-after=3 retry-after-ms=2200",
    ),
    (backend("connection"), VIEW, "502 provider_error provider_connection_error -", "x-should-retry=true"),
    *(
        (backend("timeout", code=phase), VIEW, f"504 provider_error provider_timeout {phase}", "")
        for phase in sorted(PHASES)
    ),
    (backend("timeout"), VIEW, "504 provider_error provider_timeout -", ""),
    (backend("auth", status=401), VIEW, "502 provider_error provider_auth_error -", "x-should-retry=false"),
    (backend("auth", status=403), VIEW, "502 provider_error provider_auth_error -", "x-should-retry=false"),
    (backend("context_overflow", status=400, code="too_long", kind="own"), VIEW, "400 own too_long -", ""),
    (backend("not_found", status=404, code="no_model", kind="own"), VIEW, "404 own no_model -", ""),
    (backend("invalid_request", status=413), VIEW, f"413 {ASKED} {ASKED} -", ""),
    (backend("invalid_request", status=422, code="c", kind="t"), VIEW, "422 t c -", ""),
    (backend("invalid_request", status=418), VIEW, "502 provider_error provider_bad_response -", ""),
    (backend("bad_response"), VIEW, "502 provider_error provider_bad_response -", ""),
    (backend("stream_truncated"), VIEW, "502 provider_error provider_stream_truncated -", ""),
]


@pytest.mark.parametrize(("error", "view", "row", "headers"), ROWS)
def test_every_error_has_its_row(error: BaseException, view: View, row: str, headers: str) -> None:
    """Status, type, code, param and headers; and nothing of the model's own server but its word on the request."""
    fault = fault_of(error, view)
    assert f"{fault.status} {fault.type} {fault.code} {fault.param or '-'}" == row
    assert set(headers.split()) <= {f"{name}={value}" for name, value in fault.headers}
    body = fault.body("req_1").decode()
    assert SECRET not in body
    assert "10.1.2.3" not in body
    assert "anything" not in body


def test_every_cause_has_a_row() -> None:
    """A cause that somebody adds to core fails here until it is decided what a caller sees."""
    causes = {cause for group in get_args(Cause) for cause in (get_args(group) or (group,))}
    assert causes == OF_CAUSE.keys()
    assert OF_CAUSE.items() >= {"rate_limited": "provider_rate_limited"}.items()
    for cause in causes:
        assert fault_of(backend(cause), VIEW).code in CONDITIONS


def test_every_deliberate_error_has_a_row() -> None:
    """Every class of the error tree is mapped on purpose, not by falling through to an unforeseen one."""
    through = {
        "NotKept",
        "ProtocolError",
        "ConversationBusy",
        "ArchitectureNotUnderstood",
        "TurnFailed",
        "SymposiaError",
    }
    mapped = {type(error).__name__ for error, *_ in ROWS}
    kinds = {
        name: kind
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, SymposiaError)
    }
    unmapped = {
        name for name, kind in kinds.items() if name not in mapped and not issubclass(kind, InvalidInput)
    }
    assert unmapped == through


@pytest.mark.parametrize("status", sorted(KEPT_STATUSES))
def test_what_a_provider_says_of_the_request_is_passed_on_clean_and_short(status: int) -> None:
    """Type and code are kept, the message loses secrets and everything past 500 characters."""
    words = f"{SECRET} at {URL} " + "x" * 2_000
    classified = classify(status, {}, code="own_code", kind="own_type", message=words, now=0.0)
    fault = fault_of(classified.error(words), VIEW)
    assert (fault.status, fault.type, fault.code) == (status, "own_type", "own_code")
    assert len(fault.message) == MOST_SAID
    assert SECRET not in fault.message
    assert URL not in fault.message


def test_a_rate_limit_may_be_shown_as_429() -> None:
    """For clients that know no 529."""
    fault = fault_of(backend("rate_limited", status=429), View(VIEW.redactor, rate_status=429))
    assert (fault.status, fault.code) == (429, "provider_rate_limited")


def refusal(wait_s: float | None, *, kind: str = "budget", field: str = "tokens") -> Refusal:
    charge = Charge(pool="p1", field=field, amount=70, limit=100, kind=kind)  # type: ignore[arg-type]
    standing = Standing(pool="p1", field=field, used=40, reserved=5, limit=100)  # type: ignore[arg-type]
    return Refusal(charge=charge, standing=standing, retry_after_s=wait_s, standings=(standing,))


@pytest.mark.parametrize(
    ("wait_s", "headers"),
    [
        (2.0001, {"retry-after": "3", "retry-after-ms": "2001"}),
        (120.0, {"retry-after": "120", "retry-after-ms": "120000"}),
        (120.5, {"retry-after": "121", "retry-after-ms": "120500", "x-should-retry": "false"}),
        (None, {"x-should-retry": "false"}),
    ],
)
def test_a_spent_budget_says_when_and_whether(wait_s: float | None, headers: dict[str, str]) -> None:
    """Whole seconds rounded up; past what SDKs wait for, and for never, they are told not to try."""
    fault = refused(refusal(wait_s))
    assert (fault.status, fault.type, fault.code, fault.param) == (
        429,
        "insufficient_quota",
        "steering_budget_exceeded",
        "p1",
    )
    assert dict(fault.headers) == headers
    assert "70" in fault.message
    assert "55 of 100" in fault.message


@pytest.mark.parametrize("field", ["requests", "tokens"])
def test_a_rate_is_a_rate(field: str) -> None:
    """Its type names the number that ran out, and trying again is right."""
    fault = refused(refusal(0.25, kind="rate", field=field))
    assert (fault.status, fault.type, fault.code) == (429, field, "rate_limit_exceeded")
    assert dict(fault.headers) == {"retry-after": "1", "retry-after-ms": "250", "x-should-retry": "true"}


@given(wait_s=st.floats(0, 10_000))
def test_no_client_comes_back_too_early(wait_s: float) -> None:
    """Both headers are at least the wait, and less than one unit more."""
    headers = dict(Fault("rate_limit_exceeded", "m", retry_after_s=wait_s).headers)
    assert wait_s <= int(headers["retry-after"]) < wait_s + 1.002
    assert wait_s * 1000 <= int(headers["retry-after-ms"]) <= wait_s * 1000 + 1


def test_codes_are_words_and_statuses_are_errors() -> None:
    """Never a number as a code, never 422 or 408 of our own."""
    for code, row in CONDITIONS.items():
        assert code.replace("_", "").isalpha()
        assert 400 <= row.status < 600
        assert row.status not in (408, 422)
        assert code.startswith("provider_") == (row.type == "provider_error")


def test_the_body_has_the_openai_shape() -> None:
    """All five fields, steering only where something had been decided."""
    fault = Fault("invalid_value", "temperature: no", param="temperature")
    assert json.loads(fault.body("req_1")) == {
        "error": {
            "message": "temperature: no",
            "type": "invalid_request_error",
            "param": "temperature",
            "code": "invalid_value",
            "request_id": "req_1",
        }
    }
    served = Served(profile="calm", revision="sha256:1", arm="pinned")
    assert json.loads(fault.body("r", served))["error"]["steering"] == {
        "profile": "calm",
        "revision": "sha256:1",
        "arm": "pinned",
        "canary": None,
    }


def test_a_missing_key_says_how_to_bring_one() -> None:
    """RFC 9110: a 401 has a challenge."""
    assert dict(Fault("invalid_api_key", "m").headers) == {"www-authenticate": "Bearer"}
