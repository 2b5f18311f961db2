"""Promise 7 of serving, at what watches: a running server with everything on shows no secret in any of it.

Sentinels are the upstream's key and URL, a caller's key, a cookie, another key header, and a query; they are planted in
headers, in the URL, in the model's name, in messages, in a body that is no JSON.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from symposia.core.clock import SystemClock
from symposia.core.trace import Trace
from symposia.core.value import decode
from symposia.store.keyfile import KeyFile
from symposia.store.keys import Grant
from tests.servers.collector import Collector, collector, plain

pytest.importorskip("opentelemetry", reason="needs the SDK: pip install 'symposia[otel]'")
ROOT = Path(__file__).parents[3]
UPSTREAM_KEY, COOKIE, OTHER, QUERY = (
    f"hush-{name}-0123456789abcdef" for name in ("up", "cookie", "other", "query")
)

pytestmark = pytest.mark.slow  # a server of its own, with everything on
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
STRANGER = "sk-sym-aaaaaaaaaaaa-" + "B" * 43


@contextmanager
def upstream() -> Iterator[str]:
    """A provider that repeats what it was given, its key included; its base URL, which is a secret too."""

    class Talking(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
            said = f"{asked['messages'][-1]['content']}\n{self.headers['authorization']}\n{base}"
            failing = asked["model"] == "broken"
            body: dict[str, Any] = {"error": {"message": said, "type": "server_error", "code": said}}
            if not failing:
                message = {"role": "assistant", "content": said}
                body = {
                    "id": "c1",
                    "object": "chat.completion",
                    "created": 1,
                    "model": asked["model"],
                    "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
                    "usage": {"prompt_tokens": 5, "completion_tokens": 5, "total_tokens": 10},
                    said: "an unknown field",
                }
            raw = json.dumps(body).encode()
            self.send_response(500 if failing else 200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Talking)
    base = f"http://127.0.0.1:{server.server_port}/hush-path/v1"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield base
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass
class Seen:
    """What a server showed of itself."""

    secrets: tuple[str, ...]
    log: list[dict[str, Any]] = field(default_factory=list)
    metrics: str = ""
    traces: list[Trace] = field(default_factory=list)
    raw: dict[str, bytes] = field(default_factory=dict)
    statuses: list[int] = field(default_factory=list)
    held: Collector = field(default_factory=Collector)


def serve(folder: Path, base: str, held: Collector, *flags: str) -> tuple[subprocess.Popen[bytes], int]:
    """A server with everything on, once it listens."""
    kept = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "LANG")}
    environment = {
        **kept,
        "PYTHONPATH": str(ROOT / "src"),
        "INFERENCE_API_KEY": UPSTREAM_KEY,
        "OTEL_EXPORTER_OTLP_ENDPOINT": held.url,
    }
    port = _free_port()
    command = [sys.executable, "-m", "symposia.cli", "serve", "--upstream", base, "--only", "tiny,broken"]
    command += ["--port", str(port), "--store", "events.db", "--keys-file", "keys.jsonl", *flags]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, cwd=folder, stdout=log, stderr=log)
    while process.poll() is None:
        try:
            _ask(port, None, "GET", "/healthz", {})
        except OSError:
            continue
        return process, port
    raise AssertionError((folder / "log").read_text())


def _free_port() -> int:
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as found:
        return found.server_port


def _ask(port: int, body: str | None, method: str, path: str, headers: dict[str, str]) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    """All a server shows while strangers and friends plant secrets wherever they can."""
    folder = tmp_path_factory.mktemp("served")
    _, secret = KeyFile(folder / "keys.jsonl", SystemClock()).create(
        Grant(name="app", scopes=("inference", "metrics")), actor="test"
    )
    key = secret.reveal()
    with upstream() as base, collector() as held:
        made = Seen((UPSTREAM_KEY, COOKIE, OTHER, QUERY, base, "hush", key, key[-24:], "B" * 24), held=held)
        flags = ("--traces", "traces", "--log-level", "debug", "--otel-content")
        process, port = serve(folder, base, held, *flags)
        try:
            _plant(made, port, key, base)
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0, (folder / "log").read_text()
    made.raw["log"] = (folder / "log").read_bytes()
    made.log = [json.loads(line) for line in made.raw["log"].splitlines()]
    made.raw["traces"] = b"".join(path.read_bytes() for path in sorted((folder / "traces").iterdir()))
    made.traces = [decode(line, Trace) for line in made.raw["traces"].splitlines()]
    made.raw |= {"metrics": made.metrics.encode(), "telemetry": held.raw}
    return made


def _plant(made: Seen, port: int, key: str, base: str) -> None:
    headers = {
        "content-type": "application/json",
        "cookie": f"session={COOKIE}",
        "x-api-key": OTHER,
        "user-agent": f"probe {key}",
        "traceparent": TRACEPARENT,
    }
    said = f"my keys\n{key} and {UPSTREAM_KEY} at {base}"

    def asked(body: Any, by: str = key) -> None:
        raw = body if isinstance(body, str) else json.dumps(body)
        path = f"/v1/chat/completions?api_key={QUERY}"
        sent = {**headers, "authorization": f"Bearer {by}"}
        made.statuses.append(_ask(port, raw, "POST", path, sent)[0])

    whole = {"model": "tiny", "messages": [{"role": "user", "content": said}], "user": COOKIE}
    asked(whole)
    asked({**whole, "model": "broken"})
    asked({**whole, "model": f"tiny-{key}"})
    asked({**whole, "model": f"tiny@{UPSTREAM_KEY}"})
    asked({**whole, key: 1})
    asked("{not json " + key)
    asked(whole, by=STRANGER)
    authorised = {"authorization": f"Bearer {key}"}
    made.metrics = _ask(port, None, "GET", "/metrics", authorised)[1].decode()


def test_everything_was_on(seen: Seen) -> None:
    """Each way of watching saw the requests: otherwise their silence would mean nothing."""
    assert seen.statuses == [200, 502, 404, 404, 400, 400, 401]
    kinds = [line["type"] for line in seen.log]
    assert kinds.count("request_served") == len(seen.statuses)
    assert kinds.count("request_received") >= len(seen.statuses)
    assert 'outcome="ok"' in seen.metrics
    assert len(seen.held.spans) == len(seen.statuses)
    assert len(seen.traces) >= 1


@pytest.mark.parametrize("where", ["log", "metrics", "traces", "telemetry"])
def test_no_secret_is_shown(seen: Seen, where: str) -> None:
    """No sentinel in any line, label, span or trace."""
    for secret in seen.secrets:
        assert secret.encode() not in seen.raw[where], (secret, where)


def test_what_was_said_is_there_without_its_secrets(seen: Seen) -> None:
    """A trace and a span keep the words around what was taken out, and count it."""
    trace = next(each for each in seen.traces if each.response is not None)
    assert trace.trace_id == TRACEPARENT.split("-")[1]
    assert trace.messages[0].content is not None
    assert trace.messages[0].content.startswith("my keys\n[redacted:")
    assert trace.redactions >= 3
    span = next(each for each in seen.held.spans if "gen_ai.output.messages" in plain(each.attributes))
    assert span.trace_id.hex() == trace.trace_id
    assert "my keys" in plain(span.attributes)["gen_ai.input.messages"]
