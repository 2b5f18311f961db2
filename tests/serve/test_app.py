"""Everything that is no turn: health, readiness, lists, the document, wrong paths and methods; and what is kept."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from pathlib import Path

import httpx2
import pytest

from symposia.backends.replay import Replay
from symposia.cli.serve.cors import with_cors
from symposia.core.clock import SystemClock
from symposia.core.errors import BackendError
from symposia.core.redact import Redactor
from symposia.core.request import ModelCard
from symposia.serve.app import CHAT, ROUTES
from symposia.serve.routes import ROUTES as TABLE
from symposia.serve.settings import Settings
from symposia.serve.traces import Traces
from symposia.store.keys import Grant
from tests.serve.test_ends import asked, read_all
from tests.serving import Serving, scripted, until

BODY = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


def got(
    serving: Serving, path: str, method: str = "GET", data: bytes | None = None, **headers: str
) -> tuple[int, dict[str, str], bytes]:
    request = urllib.request.Request(f"{serving.root}{path}", data=data, method=method, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, dict(answer.headers), answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, dict(error.headers), error.read()


@pytest.fixture(scope="module")
def serving():
    with Serving({"m": scripted()}) as running:
        yield running


def test_what_the_table_promises_is_wired(serving):
    for route in TABLE:
        path = route.path.replace("{id}", "m")
        if path.startswith("/admin"):
            continue
        assert path == CHAT or path in ROUTES or path.startswith("/v1/models/")
        if route.method == "GET":
            assert got(serving, path)[0] == 200, path


def test_the_document_is_served_as_it_is_made(serving):
    status, headers, raw = got(serving, "/openapi.json")
    assert (status, headers["content-type"]) == (200, "application/json")
    assert CHAT in json.loads(raw)["paths"]


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "unknown_url"),
        ("POST", "/v1/completions", 404, "unsupported_endpoint"),
        ("POST", "/v1/embeddings", 404, "unsupported_endpoint"),
        ("GET", "/v1/chat/completions", 405, "method_not_allowed"),
        ("DELETE", "/v1/models", 405, "method_not_allowed"),
        ("GET", "/v1/models/nobody", 404, "model_not_found"),
    ],
)
def test_wrong_paths_and_methods_are_json_in_openais_shape(serving, method, path, status, code):
    told, headers, raw = got(serving, path, method)
    error = json.loads(raw)["error"]
    assert (told, error["code"]) == (status, code)
    assert error["request_id"] == headers["x-request-id"]
    assert ("allow" in headers) == (status == 405)


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"content-type": "text/plain"}, 415, "unsupported_media_type"),
        ({"content-type": "application/json; charset=utf-8"}, 200, ""),
        ({"content-type": "application/json", "x-big": "x" * 40_000}, 431, "request_too_large"),
    ],
)
def test_bodies_of_another_kind_are_not_read(serving, headers, status, code):
    told, _, raw = got(serving, CHAT, "POST", json.dumps(BODY).encode(), **headers)
    assert (told, json.loads(raw).get("error", {}).get("code", "")) == (status, code)


def test_a_body_too_long_is_413_said_or_not():
    with Serving({"m": scripted()}, max_body_bytes=100) as serving:
        raw = read_all(asked(serving, {**BODY, "user": "x" * 200}))
        assert raw.startswith(b"HTTP/1.1 413")
        assert serving.settled(1)[0].code == "request_too_large"


def test_metrics_need_their_scope():
    with Serving({"m": scripted()}, insecure_dev=False) as serving:
        _, reader = serving.storage.keys.create(Grant(name="r", scopes=("metrics",)), actor="test")
        _, asker = serving.storage.keys.create(Grant(name="a", scopes=("inference",)), actor="test")
        serving.run(serving.server.follower.refresh())
        assert got(serving, "/metrics")[0] == 401
        assert got(serving, "/metrics", authorization=f"Bearer {asker.reveal()}")[0] == 403
        status, headers, raw = got(serving, "/metrics", authorization=f"Bearer {reader.reveal()}")
        assert (status, b"steering_build_info" in raw) == (200, True)
        assert headers["content-type"].startswith("text/plain")


class Late:
    """A backend that cannot say who it is before it is told to."""

    def __init__(self) -> None:
        self.there = False
        self.inner = scripted()

    async def describe(self, model):
        if not self.there:
            raise BackendError("not yet", cause="connection")
        return ModelCard(model=model)

    async def render(self, request):
        return await self.inner.render(request)

    def generate(self, request):
        return self.inner.generate(request)


def test_a_server_listens_before_its_models_are_there_and_says_which():
    late = Late()
    with Serving({"m": scripted(), "late": late}) as serving:
        until(lambda: serving.server.models["m"].ready)
        status, _, raw = got(serving, "/readyz")
        checks = json.loads(raw)["checks"]
        assert (status, checks["model:m"], checks["model:late"]) == (503, True, False)
        assert got(serving, "/healthz")[0] == 200
        assert read_all(asked(serving, BODY)).startswith(b"HTTP/1.1 200")
        waiting = asked(serving, {**BODY, "model": "late"})
        late.there = True
        assert read_all(waiting).startswith(b"HTTP/1.1 200")
        assert got(serving, "/readyz")[0] == 200


def test_browsers_of_named_origins_may_ask(serving):
    async def preflight(origin: str) -> dict[str, str]:
        sent = []
        scope = {
            "type": "http",
            "method": "OPTIONS",
            "path": CHAT,
            "query_string": b"",
            "headers": [
                (b"origin", origin.encode()),
                (b"access-control-request-method", b"POST"),
                (b"access-control-request-headers", b"authorization"),
            ],
        }

        async def send(message):
            sent.append(message)

        app = with_cors(serving.app, Settings(cors_origin=("https://ours.example",)))
        await app(scope, None, send)
        return {name.decode(): value.decode() for name, value in sent[0]["headers"]}

    told = asyncio.run(preflight("https://ours.example"))
    assert told["access-control-allow-origin"] == "https://ours.example"
    assert "access-control-allow-origin" not in asyncio.run(preflight("https://theirs.example"))
    assert with_cors(serving.app, Settings()) is serving.app


def test_a_trace_answers_the_same_question_again(tmp_path: Path):
    with Serving({"m": scripted(chunk=4)}) as serving:
        serving.server.traces = Traces(tmp_path, Redactor({}), serving.server.emit)
        for stream in (False, True):
            read_all(asked(serving, {**BODY, "seed": 5, "stream": stream, "user": "somebody"}))
        serving.settled(2)
    [file] = tmp_path.glob("*.jsonl")
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [line["response"]["message"]["content"] for line in lines] == [
        "Hello there, how are you today?"
    ] * 2
    assert len(lines[1]["generations"][0]["pieces"]) > 1
    assert "somebody" not in file.read_text()
    with Serving({"m": Replay.read(file, SystemClock())}) as again:
        whole = json.loads(read_all(asked(again, {**BODY, "seed": 5})).partition(b"\r\n\r\n")[2])
        assert whole["choices"][0]["message"]["content"] == "Hello there, how are you today?"
        missed = read_all(asked(again, {**BODY, "seed": 6}))
        assert missed.startswith(b"HTTP/1.1 400")
        assert b"replay_miss" in missed


def test_the_callers_trace_goes_on(serving):
    trace = "0af7651916cd43dd8448eb211c80319c"
    request = urllib.request.Request(
        f"{serving.root}{CHAT}",
        data=json.dumps(BODY).encode(),
        headers={"content-type": "application/json", "traceparent": f"00-{trace}-b7ad6b7169203331-01"},
    )
    before = len(serving.served)
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200
    assert serving.settled(before + 1)[-1].trace_id == trace
    assert serving.server.models["m"].backend.requests[-1].about.traceparent.split("-")[1] == trace


def test_a_key_in_the_wrong_field_is_not_said_back() -> None:
    """A caller who puts his key where the model's name belongs does not read it again, nor does anybody's log."""
    secret = "sk-sym-aaaabbbbcccc-" + "x" * 43
    with Serving({"m": scripted()}) as serving:
        asked = {"model": secret, "messages": [{"role": "user", "content": "hi"}], secret: 1}
        unknown = httpx2.post(f"{serving.url}/chat/completions", json=asked)
        del asked[secret]
        missing = httpx2.post(f"{serving.url}/chat/completions", json=asked)
    assert (unknown.status_code, missing.status_code) == (400, 404)
    assert secret not in unknown.text + missing.text
    assert "[redacted:" in missing.text
