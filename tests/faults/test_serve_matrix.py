"""Twenty-two ways an upstream fails, whole and streamed, through `symposia serve`: what the caller sees of each."""

from __future__ import annotations

import http.client
import json
from typing import NamedTuple

import pytest

from symposia.testing.faults import MATRIX, PLANTED_KEY, SENTENCE, UPSTREAM_SECRET
from symposia.testing.faults.reply import pieces
from tests.processes import serving, upstream

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]
TWO = "".join(pieces(SENTENCE)[:2])


class Seen(NamedTuple):
    """What reaches the caller. `finish` is the finish reason, `done` whether `[DONE]` came."""

    status: int = 200
    text: str = ""
    code: str = ""
    param: str | None = None
    finish: str = ""
    done: bool = False
    retry_after: str = ""
    again: str = ""
    estimated: bool = False


def refused(
    status: int, code: str, *, param: str | None = None, after: str = "", again: str = ""
) -> tuple[Seen, Seen]:
    """The same in both modes: JSON with a status, no event stream."""
    seen = Seen(status=status, code=code, param=param, retry_after=after, again=again)
    return seen, seen


def cut(code: str, whole: Seen, param: str | None = None, text: str = TWO) -> tuple[Seen, Seen]:
    """In the stream: what came, then the error, no finish, no `[DONE]`. Whole: an error with its status."""
    return Seen(text=text, code=code, param=param), whole


BAD = Seen(status=502, code="provider_bad_response")
ALL = (Seen(text=SENTENCE, finish="stop", done=True), Seen(text=SENTENCE, finish="stop"))
EXPECTED: dict[str, tuple[Seen, Seen]] = {
    "rate-limit": refused(529, "provider_rate_limited", after="7", again="true"),
    "quota": refused(502, "provider_quota_exhausted", again="false"),
    "secret": refused(502, "provider_internal_error"),
    "overloaded": refused(502, "provider_internal_error", after="3"),
    "context": refused(400, "context_length_exceeded"),
    "auth": refused(502, "provider_auth_error", again="false"),
    "html": refused(502, "provider_internal_error"),
    "cut-json": refused(502, "provider_bad_response"),
    "silence": refused(504, "provider_timeout", param="first_token"),
    "hangup": refused(502, "provider_connection_error", again="true"),
    "500": refused(502, "provider_internal_error"),
    "error": cut("provider_internal_error", Seen(status=502, code="provider_internal_error")),
    "drop": cut("provider_stream_truncated", BAD),
    "eof": cut("provider_stream_truncated", BAD),
    "garbage": cut("provider_bad_response", BAD),
    "stall": cut("provider_timeout", Seen(status=504, code="provider_timeout", param="idle"), "idle"),
    "chatter": ALL,
    "bytewise": ALL,
    "no-finish": cut("provider_stream_truncated", BAD, text=SENTENCE),
    "no-done": ALL,
    "empty": refused(502, "provider_bad_response"),
    "no-usage": (ALL[0]._replace(estimated=True), ALL[1]._replace(estimated=True)),
}


def test_every_row_is_looked_at():
    assert list(EXPECTED) == [row.name for row in MATRIX]


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faults")
    with (
        upstream(folder) as failing,
        serving(
            folder,
            "--insecure-dev",
            INFERENCE_BASE_URL=f"http://127.0.0.1:{failing.port}",
            INFERENCE_API_KEY=PLANTED_KEY,
            SYMPOSIA_SERVE_FIRST_TOKEN_S="1.0",
            SYMPOSIA_SERVE_IDLE_S="0.7",
        ) as served,
    ):
        yield failing, served


def asked(port: int, body: dict[str, object]) -> tuple[int, dict[str, str], str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("POST", "/v1/chat/completions", json.dumps(body), {"content-type": "application/json"})
    answer = connection.getresponse()
    raw = answer.read().decode()
    connection.close()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}, raw


def seen(port: int, name: str, *, stream: bool) -> tuple[Seen, str]:
    """What a request for that model comes to, and everything that was sent back."""
    body = {"model": f"fault-{name}", "messages": [{"role": "user", "content": "hi"}], "stream": stream}
    if stream:
        body["stream_options"] = {"include_usage": True}
    status, headers, raw = asked(port, body)
    everything = json.dumps(headers) + raw
    told = {
        "status": status,
        "retry_after": headers.get("retry-after", ""),
        "again": headers.get("x-should-retry", ""),
    }
    if headers["content-type"].startswith("text/event-stream"):
        return _streamed(raw, told), everything
    got = json.loads(raw)
    if "error" in got:
        return Seen(**told, code=got["error"]["code"], param=got["error"]["param"]), everything
    choice = got["choices"][0]
    return Seen(
        **told,
        text=choice["message"]["content"],
        finish=choice["finish_reason"],
        estimated="estimated" in got["usage"],
    ), everything


def _streamed(raw, told):
    text = finish = code = ""
    param, done, estimated = None, False, False
    events = [event for event in raw.split("\n\n") if event and not event.startswith(":")]
    for event in events:
        assert event.startswith("data: ")
        if event == "data: [DONE]":
            done = True
            assert event is events[-1]
            continue
        got = json.loads(event.removeprefix("data: "))
        if "error" in got:
            code, param = got["error"]["code"], got["error"]["param"]
            assert event is events[-1]
            continue
        for choice in got["choices"]:
            text += choice["delta"].get("content", "")
            finish = choice["finish_reason"] or finish
        estimated = estimated or bool((got.get("usage") or {}).get("estimated"))
    return Seen(**told, text=text, finish=finish, code=code, param=param, done=done, estimated=estimated)


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize("name", EXPECTED)
def test_a_row(servers, name, stream):
    failing, served = servers
    got, everything = seen(served.port, name, stream=stream)
    assert got == EXPECTED[name][0 if stream else 1]
    for secret in (PLANTED_KEY, UPSTREAM_SECRET, str(failing.port), "<html", "db.internal"):
        assert secret not in everything
        assert secret not in served.said


def test_afterwards_everything_is_told_and_nothing_is_held(servers):
    _, served = servers
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=30)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    assert "steering_in_flight 0.0" in text
    assert "steering_budget_leases 0.0" in text
    assert 'steering_upstream_errors_total{code="provider_timeout"}' in text


def test_a_signal_ends_it_well(servers):
    _, served = servers
    assert served.end() == 0
