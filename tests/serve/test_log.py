"""The log: one line an event, as much as the level asks for, no secret whatever the event holds."""

from __future__ import annotations

import io
import json
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symposia.core.redact import Redactor
from symposia.core.served import BudgetDecision, BudgetSettled, RequestServed, TracingStopped
from symposia.serve.log import LEVELS, Form, Level, Log, level_of
from tests.occurrences import any_event, any_of, served

SECRET = 'https://up.example/v1?key="hush\thush"'
FORMS: tuple[Form, ...] = ("json", "text")


def logged(*events: Any, form: Form = "json", level: Level = "debug", secret: str = SECRET) -> list[str]:
    stream = io.StringIO()
    log = Log(stream, Redactor({"UPSTREAM": secret}), level=level, form=form)
    for event in events:
        log(1_790_000_000.25, event)
    assert stream.getvalue() == "" or stream.getvalue().endswith("\n")
    return stream.getvalue().split("\n")[:-1]


@given(st.lists(any_event(), max_size=5), st.sampled_from(FORMS))
def test_an_event_is_a_line(events: list[Any], form: Form) -> None:
    """Whatever words an event holds, line breaks too, it is one line; of JSON, with time, level and type."""
    lines = logged(*events, form=form)
    assert len(lines) == len(events)
    for line, event in zip(lines, events, strict=True):
        kind = event.__struct_config__.tag
        if form == "json":
            told = json.loads(line)
            assert (told["level"], told["type"]) == (level_of(event), kind)
            assert datetime.fromisoformat(told["time"]).timestamp() == 1_790_000_000.25
        else:
            assert line.isprintable()
            assert f" {kind}" in line


@given(any_of(RequestServed))
def test_a_line_says_what_the_event_says(event: RequestServed) -> None:
    """Each field as it is, but for empty ones; of receipts what became of each."""
    told = json.loads(logged(event, secret="")[0])
    for name in ("status", "outcome", "latency_ms", "ttft_ms", "stream", "prompt_tokens"):
        assert told.get(name) == getattr(event, name)
    assert told.get("receipts", []) == [receipt.status for receipt in event.receipts]


@given(st.lists(any_event(), max_size=6), st.sampled_from(LEVELS))
def test_levels_only_leave_out(events: list[Any], level: Level) -> None:
    """A higher level writes the lines of the lower one that are worth it, in the same order."""
    everything = logged(*events)
    kept = [
        line
        for line, event in zip(everything, events, strict=True)
        if LEVELS.index(level_of(event)) >= LEVELS.index(level)
    ]
    assert logged(*events, level=level) == kept


def test_what_is_worth_reading() -> None:
    """Requests and refusals are there by default; a budget's everyday business is not; trouble is louder."""
    held = BudgetDecision(decision="allowed", request_id="r", model="m", profile="p", key="k", lease="l")
    quiet = [held, BudgetSettled(outcome="settled", lease="l")]
    assert logged(*quiet, level="info") == []
    loud = {
        served(): "info",
        served(status=429, outcome="refused"): "info",
        served(status=502, outcome="error"): "warning",
        served(status=500, outcome="error"): "error",
        BudgetSettled(outcome="late", lease="l"): "warning",
        TracingStopped(why="disk full"): "error",
    }
    assert [json.loads(line)["level"] for line in logged(*loud, level="info")] == list(loud.values())


@given(st.data(), st.sampled_from(FORMS))
def test_no_field_shows_a_secret(data: st.DataObject, form: Form) -> None:
    """A secret in any word of any event is in no line, in no spelling; nor is what looks like a key."""
    words = st.sampled_from([SECRET, f"line\n{SECRET}", "\nsk-" + "a1" * 12, "Bearer abcdefgh12345678"])
    event = data.draw(any_event(words))
    (line,) = logged(event, form=form)
    for hidden in (SECRET, json.dumps(SECRET)[1:-1], "hush", "a1" * 12, "abcdefgh12345678"):
        assert hidden not in line


@given(
    st.lists(any_event(st.sampled_from([SECRET, "plain", 'quo"ted', "sk-" + "a1" * 12])), max_size=5),
    st.sampled_from(FORMS),
)
def test_lines_that_waited_are_those_that_did_not(events: list[Any], form: Form) -> None:
    """Written together, with or without secrets among them, they say what each says written at once."""
    stream = io.StringIO()
    log = Log(stream, Redactor({"UPSTREAM": SECRET}), level="debug", form=form, buffered=True)
    for event in events:
        log(1_790_000_000.25, event)
    log.flush()
    assert stream.getvalue().split("\n")[:-1] == logged(*events, form=form)


def test_headers_are_an_allow_list() -> None:
    """Of a request that came, only harmless headers are shown: no credential, no cookie, nothing unknown."""
    stream = io.StringIO()
    log = Log(stream, Redactor({}), level="debug")
    sent = [
        (b"Authorization", b"Bearer planted-1"),
        (b"X-Api-Key", b"planted-2"),
        (b"Cookie", b"session=planted-3"),
        (b"Proxy-Authorization", b"planted-4"),
        (b"X-Steering-Unit", b"planted-5"),
        (b"X-Anything", b"planted-6"),
        (b"User-Agent", b"probe/1"),
        (b"Content-Type", b"application/json"),
    ]
    log.received(0.0, "req_1", "POST", "/v1/chat/completions", sent)
    assert "planted" not in stream.getvalue()
    shown = json.loads(stream.getvalue())["headers"]
    assert shown == {"user-agent": "probe/1", "content-type": "application/json"}


@pytest.mark.parametrize("form", FORMS)
def test_a_bug_leaves_its_traceback(form: Form) -> None:
    """By the request's id, without the secret its message holds."""
    stream = io.StringIO()
    log = Log(stream, Redactor({"UPSTREAM": SECRET}), level="error", form=form)
    try:
        raise RuntimeError(f"no {SECRET}")
    except RuntimeError as error:
        log.failed(0.0, "req_9", error)
    told = stream.getvalue()
    assert "req_9" in told
    assert "test_log.py" in told
    assert "[redacted:UPSTREAM]" in told
    assert "hush" not in told


def test_serving_outlives_its_log() -> None:
    """A log that cannot be written any more is given up without a word to the server."""

    class Full(io.StringIO):
        tried = 0

        def write(self, text: str) -> int:
            self.tried += 1
            raise OSError(28, "No space left on device")

    stream = Full()
    log = Log(stream, Redactor({}))
    log(0.0, served())
    log.note(0.0, "info", "listening", {"port": 8080})
    assert stream.tried == 1


def test_a_buffered_log_keeps_the_order_and_lets_no_warning_wait() -> None:
    """Lines of requests wait for a flush; a warning takes what waits before it along; a thousand wait for nothing."""
    stream = io.StringIO()
    log = Log(stream, Redactor({}), buffered=True)
    fine, bad = served(), TracingStopped(why="full")
    log(1.0, fine)
    assert stream.getvalue() == ""
    log(2.0, bad)
    assert [json.loads(line)["type"] for line in stream.getvalue().splitlines()] == [
        "request_served",
        "tracing_stopped",
    ]
    log(3.0, fine)
    log.flush()
    assert len(stream.getvalue().splitlines()) == 3
    for _ in range(1_000):
        log(4.0, fine)
    assert len(stream.getvalue().splitlines()) == 1_003
