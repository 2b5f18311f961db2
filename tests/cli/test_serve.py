"""`symposia serve` as a process: what keeps it from starting, what it needs to start, and how it ends."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import ssl
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from contextlib import closing
from typing import get_type_hints

import pytest
from openai import APIError, InternalServerError, OpenAI

from symposia.backends.openai.flavours import FLAVOURS
from symposia.cli.serve.backends import relay_of
from symposia.cli.serve.options import ServeOptions
from symposia.core.clock import SystemClock
from symposia.core.profile import Profile
from symposia.core.store import Query
from symposia.serve.settings import Settings
from symposia.store import opened
from tests.processes import SERVE, Process, environment, free_port, serving, upstream
from tests.serving import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]
SCRIPT = """
import time

def slowly(request):
    return "word " * 40

def kind(request):
    return "Glad to help."
"""
ASK = {"messages": [{"role": "user", "content": "hi"}]}


def refused(folder, *flags: str, **env: str) -> tuple[int, str]:
    ran = subprocess.run(
        [*SERVE, *flags],
        cwd=folder,
        env=environment(**env),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return ran.returncode, ran.stderr


@pytest.mark.parametrize(
    ("flags", "env", "says"),
    [
        ((), {}, "symposia keys create --name app --scope inference"),
        (("--insecure-dev", "--host", "0.0.0.0"), {}, "--host 127.0.0.1"),
        (("--insecure-dev", "--workers", "2"), {}, "--ledger sqlite:ledger.db"),
        (("--insecure-dev",), {"SYMPOSIA_SERVE_PROT": "1"}, "the nearest is 'port'"),
        (("--insecure-dev", "--budget", "bad.toml"), {}, "more specific"),
        (("--insecure-dev", "--model", "tiny"), {}, "NAME=ADDRESS"),
        (("--insecure-dev", "--model", "x=nothing-of-the-kind"), {}, "unknown model"),
        (("--insecure-dev", "--upstream", "ftp://somewhere"), {}, "http"),
        (
            ("--insecure-dev", "--upstream", "http://127.0.0.1:1", "--only", "a"),
            {"SYMPOSIA_SERVE_UPSTREAM_FLAVOUR": "vlm"},
            "expected one of generic, ollama, openai, openrouter, sglang, vllm (did you mean 'vllm'?)",
        ),
    ],
)
def test_it_does_not_start_and_says_what_to_do(tmp_path, flags, env, says):
    (tmp_path / "bad.toml").write_text(
        "overrides = [{match = {model = 'a'}, max_tokens = 1}, {match = {profile = 'b'}, max_tokens = 2}]\n"
    )
    code, told = refused(tmp_path, *flags, **env)
    assert code == 2, told
    assert says in told
    assert "Traceback" not in told


async def test_an_upstream_is_what_it_is_said_to_be():
    """By its flavour, else by its address: what may be asked of it follows; the help names every flavour."""
    for told, features in ((None, set()), ("vllm", {"token_ids", "top_k"})):
        settings = Settings(upstream="http://127.0.0.1:1", only=("a",), upstream_flavour=told)
        relay = relay_of(settings, {}, SystemClock())
        card = await relay.describe("upstream:a")
        assert card.features & {"token_ids", "top_k"} == features
        await relay.aclose()
    option = get_type_hints(ServeOptions, include_extras=True)["upstream_flavour"].__metadata__[0]
    assert all(name in option.help for name in FLAVOURS)


def test_unknown_settings_of_the_file_are_named(tmp_path):
    (tmp_path / "symposia.toml").write_text("[serve]\nmax_in_fligth = 3\n")
    code, told = refused(tmp_path, "--insecure-dev")
    assert (code, "max_in_flight" in told) == (2, True)


def test_an_alias_to_nowhere_is_named(tmp_path):
    with opened(str(tmp_path / "symposia.db"), clock=SystemClock()) as storage:
        digest = storage.profiles.put(Profile(model="symposia:tiny"), actor="test")
        storage.profiles.move("symposia:tiny", "calm", digest, expect=None, actor="test", reason="x")
    with closing(sqlite3.connect(tmp_path / "symposia.db")) as raw, raw:
        raw.execute("UPDATE profile SET archived = 1.0")
    code, told = refused(tmp_path, "--insecure-dev", "--check")
    assert code == 2
    assert "alias symposia:tiny calm" in told


def test_check_says_it_would_start_and_starts_nothing(tmp_path):
    ran = subprocess.run(
        [*SERVE, "--insecure-dev", "--check"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ran.returncode, "tiny" in ran.stdout) == (0, True)


def test_flags_go_before_environment_before_file(tmp_path):
    (tmp_path / "symposia.toml").write_text(
        '[serve]\nmax_n = 3\nmax_messages = 5\ndrain_s = 7\n[serve.models]\nm = "scripted:s.py:kind"\n'
    )
    (tmp_path / "s.py").write_text(SCRIPT)
    ran = subprocess.run(
        [*SERVE, "--insecure-dev", "--check", "--json", "--max-n", "4"],
        cwd=tmp_path,
        env=environment(SYMPOSIA_SERVE_MAX_N="2", SYMPOSIA_SERVE_MAX_MESSAGES="6"),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    settings = json.loads(ran.stdout)["settings"]
    assert (settings["max_n"], settings["max_messages"], settings["drain_s"]) == (4, 6, 7)
    assert [model["name"] for model in settings["models"]] == ["m"]


def keyed(folder) -> str:
    """A key of the store there."""
    made = subprocess.run(
        [
            sys.executable,
            "-m",
            "symposia.cli",
            "keys",
            "create",
            "--name",
            "app",
            "--scope",
            "inference",
            "--json",
        ],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    found = json.loads(made.stdout)
    return next(value for value in _strings(found) if value.startswith("sk-sym-"))


def _strings(value):
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from _strings(each)


def test_a_key_of_the_command_line_opens_the_server_and_a_signal_lets_streams_finish(tmp_path):
    (tmp_path / "s.py").write_text(SCRIPT)
    key = keyed(tmp_path)
    with upstream(tmp_path) as slow:
        env = {"INFERENCE_BASE_URL": f"http://127.0.0.1:{slow.port}"}
        with serving(
            tmp_path, "--host", "0.0.0.0", "--only", "gpt-x,fault-stall", "--idle-s", "3", **env
        ) as served:
            url = f"http://127.0.0.1:{served.port}/v1"
            with OpenAI(base_url=url, api_key=key, max_retries=0) as client:
                assert client.chat.completions.create(model="gpt-x", **ASK).choices[0].finish_reason == "stop"
                stream = client.chat.completions.create(model="fault-stall", stream=True, **ASK)
                next(stream)
                ended: list[int] = []
                waiter = threading.Thread(target=lambda: ended.append(served.end()))
                waiter.start()
                _until_draining(served.port)
                with pytest.raises(InternalServerError) as new:
                    client.chat.completions.create(model="gpt-x", **ASK)
                assert new.value.code == "server_is_overloaded"
                with pytest.raises(APIError) as cut:
                    list(stream)
                assert cut.value.code == "provider_timeout"  # its own end, not ours: it was let finish
                waiter.join(30)
            assert ended == [0]
        events = _events(tmp_path)
    assert sum(event["type"] == "request_served" for event in events) == 3
    assert "draining" in {event["type"] for event in events}


def test_what_does_not_end_in_time_is_told_so(tmp_path):
    with upstream(tmp_path) as slow:
        env = {"INFERENCE_BASE_URL": f"http://127.0.0.1:{slow.port}"}
        flags = ("--insecure-dev", "--only", "fault-stall", "--drain-s", "0.5")
        with serving(tmp_path, *flags, **env) as served:
            url = f"http://127.0.0.1:{served.port}/v1"
            with OpenAI(base_url=url, api_key="x", max_retries=0) as client:
                stream = client.chat.completions.create(model="fault-stall", stream=True, **ASK)
                next(stream)
                assert served.process.poll() is None
                served.process.terminate()
                with pytest.raises(APIError) as cut:
                    list(stream)
                assert cut.value.code == "server_is_overloaded"
            assert served.process.wait(30) == 0


def test_the_kill_switch_reaches_every_process_of_a_store(tmp_path):
    (tmp_path / "s.py").write_text(SCRIPT)
    env = {"OMP_NUM_THREADS": "1"}
    flags = ("--insecure-dev", "--model", "m=scripted:s.py:kind", "--ledger", "sqlite:ledger.db")
    with serving(tmp_path, *flags, **env) as one, serving(tmp_path, *flags, **env) as other:
        body = json.dumps({"on": True, "cut": False, "reason": "test"}).encode()
        asked = urllib.request.Request(
            f"http://127.0.0.1:{one.port}/admin/v1/kill",
            data=body,
            headers={"content-type": "application/json"},
            method="POST",
        )
        with urllib.request.urlopen(asked, timeout=10) as answer:
            assert answer.status == 200
        assert "steering_killed 1.0" in _metrics(one.port)
        waiting = threading.Event()
        left = 1.0
        while "steering_killed 1.0" not in _metrics(other.port):
            assert left > 0, "the other process did not see it within a second"
            waiting.wait(0.05)
            left -= 0.05


def test_workers_listen_on_consecutive_ports_and_end_together(tmp_path):
    (tmp_path / "s.py").write_text(SCRIPT)
    flags = ("--insecure-dev", "--model", "m=scripted:s.py:kind", "--ledger", "sqlite:l.db", "--workers", "2")
    with serving(tmp_path, *flags) as served:
        for place in (0, 1):
            _until_answers(served.port + place)
        assert served.end() == 0


def test_a_development_server_answers_this_machine_only(tmp_path):
    (tmp_path / "s.py").write_text(SCRIPT)
    with serving(tmp_path, "--insecure-dev", "--model", "m=scripted:s.py:kind") as served:
        for headers in ({"host": "example.com"}, {"x-forwarded-for": "1.2.3.4"}):
            asked = urllib.request.Request(f"http://127.0.0.1:{served.port}/v1/models", headers=headers)
            with pytest.raises(urllib.error.HTTPError) as caught:
                urllib.request.urlopen(asked, timeout=10)
            assert caught.value.code == 403
            assert json.loads(caught.value.read())["error"]["code"] == "insecure_dev_only_local"
            caught.value.close()
        with urllib.request.urlopen(f"http://127.0.0.1:{served.port}/v1/models", timeout=10) as answer:
            assert answer.headers["x-symposia-insecure"] == "dev"
        assert "INSECURE" in served.said


def _until_draining(port: int) -> None:
    waiting = threading.Event()
    for _ in range(300):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5):
                pass
        except urllib.error.HTTPError as error:
            checks = json.loads(error.read())["checks"]
            error.close()
            if not checks["not_draining"]:
                return
        waiting.wait(0.02)
    raise AssertionError("it does not drain")


def _until_answers(port: int) -> None:
    waiting = threading.Event()
    for _ in range(600):
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                return
        except OSError:
            waiting.wait(0.05)
    raise AssertionError(f"nobody listens at {port}")


def _metrics(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        return answer.read().decode()


def _events(folder) -> list[dict[str, object]]:
    with opened(os.fspath(folder / "symposia.db"), clock=SystemClock()) as storage:
        return [{"type": record.event.__struct_config__.tag} for record in storage.events.read(Query())]


def test_granian_serves_the_same_and_ends_as_well(tmp_path):
    pytest.importorskip("granian")
    (tmp_path / "s.py").write_text(SCRIPT)
    flags = ("--insecure-dev", "--server", "granian", "--model", "m=scripted:s.py:kind")
    with serving(tmp_path, *flags) as served:
        with OpenAI(base_url=f"http://127.0.0.1:{served.port}/v1", api_key="x", max_retries=0) as client:
            whole = client.chat.completions.create(model="m", **ASK)
            chunks = list(client.chat.completions.create(model="m", stream=True, **ASK))
        assert whole.choices[0].message.content == "Glad to help."
        assert "".join(c.choices[0].delta.content or "" for c in chunks) == "Glad to help."
        assert served.end() == 0
    assert sum(event["type"] == "request_served" for event in _events(tmp_path)) == 2


def test_tls_is_what_it_says(tmp_path):
    made = subprocess.run(
        [
            *["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"],
            *["-keyout", "key.pem", "-out", "cert.pem", "-subj", "/CN=localhost"],
            *["-addext", "subjectAltName=IP:127.0.0.1"],
        ],
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    if made.returncode:
        pytest.skip("openssl makes no certificate here")
    (tmp_path / "s.py").write_text(SCRIPT)
    flags = (
        "--insecure-dev",
        "--model",
        "m=scripted:s.py:kind",
        "--tls-cert",
        "cert.pem",
        "--tls-key",
        "key.pem",
    )
    port = free_port()
    trusted = ssl.create_default_context(cafile=tmp_path / "cert.pem")
    with Process(
        [*SERVE, "--port", str(port), *flags],
        port=port,
        answers=f"https://127.0.0.1:{port}/readyz",
        folder=tmp_path,
        env=environment(),
        trusted=trusted,
    ) as served:
        assert served.end() == 0


def test_what_serving_stands_on_is_named_where_it_is_missing(tmp_path):
    """On an installation without the extra: one sentence with the command that mends it, no traceback."""
    code = "import sys; sys.modules['prometheus_client'] = None; from symposia.cli.main import main; main()"
    command = [sys.executable, "-c", code, "serve", "--insecure-dev", "--check"]
    done = subprocess.run(
        command, check=False, cwd=tmp_path, env=environment(), capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "pip install 'symposia[serve]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_lines_of_requests_appear_while_it_serves(tmp_path):
    """They wait for the writing thread, not for the end."""
    with serving(tmp_path, "--insecure-dev", "--model", "m=scripted:words", "--store", "memory") as served:
        client = OpenAI(base_url=f"http://127.0.0.1:{served.port}/v1", api_key="dev")
        client.chat.completions.create(model="m", **ASK)
        until(lambda: '"request_served"' in served.said)
        assert served.process.poll() is None
