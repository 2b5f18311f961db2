"""Hosted models from the command line, against a server on loopback that fails as told."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import Result

from symposia.testing.faults import Call, FaultyUpstream, Reply
from symposia.testing.faults.__main__ import environment as of_server
from tests.cli.process import COMMAND, ROOT, environment

ONE = "examples/one_call.yaml"
Against = Callable[..., Result]


@pytest.fixture(autouse=True)
def no_keys(monkeypatch) -> None:
    """Whoever runs this has keys of his own; they are not for tests."""
    for provider in ("OPENAI", "ANTHROPIC", "OPENROUTER"):
        for variable in ("API_KEY", "API_KEY_FILE", "BASE_URL"):
            monkeypatch.delenv(f"{provider}_{variable}", raising=False)


@pytest.fixture
def serve(monkeypatch) -> Iterator[Callable[..., FaultyUpstream]]:
    """`serve(plan, replies=…)`: a server in a thread of its own; the environment points hosted models at it."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    running: list[FaultyUpstream] = []

    def start(plan: str, replies: list | None = None) -> FaultyUpstream:
        server = FaultyUpstream(plan, replies=replies)
        running.append(asyncio.run_coroutine_threadsafe(server.__aenter__(), loop).result())
        for name, value in of_server(server, {}).items():
            monkeypatch.setenv(name, value)
        return server

    yield start
    for server in running:
        asyncio.run_coroutine_threadsafe(server.__aexit__(), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture
def against(serve, here: Callable[..., Result]) -> Against:
    """`against(plan, *arguments)`: `symposia` in this process, its hosted models at a server that follows the plan."""

    def run(plan: str, *arguments: object, replies: list | None = None) -> Result:
        serve(plan, replies)
        return here(*arguments)

    return run


def test_the_command_of_the_specification(tmp_path: Path) -> None:
    """`python -m symposia.testing.faults --plan … -- symposia run …`, as processes: three attempts in the ledger."""
    command = [
        sys.executable,
        "-m",
        "symposia.testing.faults",
        "--plan",
        "429:retry-after-ms=50,500,200",
        "--",
    ]
    done = subprocess.run(
        [*command, *COMMAND, "run", ONE, "--out", str(tmp_path / "r")],
        capture_output=True,
        text=True,
        timeout=90,
        cwd=ROOT,
        env=environment(),
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "1 (3 attempts)" in done.stderr


def test_two_failures_then_an_answer(against: Against, tmp_path: Path) -> None:
    """Exit 0; every attempt is an event, and the usage table counts three."""
    done = against("429:retry-after-ms=50,500,200", "run", ONE, "--out", tmp_path / "r")
    assert done.exit_code == 0, done.stderr
    assert "Grüße" in done.stdout
    assert "1 (3 attempts)" in done.stderr
    events = [json.loads(line) for line in (tmp_path / "r" / "events.jsonl").read_text().splitlines()]
    assert [event["event"]["type"] for event in events].count("GenerationRetried") == 2


def test_a_cut_stream_leaves_no_text(against: Against, tmp_path: Path) -> None:
    """Exit 3, told as what it was; nothing of the half reply is on stdout as a turn, or on disk."""
    done = against("eof", "run", ONE, "--out", tmp_path / "r", "--json")
    assert done.exit_code == 3
    assert "stream_truncated" in done.stderr
    kept = "".join(p.read_text() for p in (tmp_path / "r").glob("conversation.json"))
    assert "Grüße" not in done.stdout + kept


def test_an_intervention_never_reaches_a_hosted_model(serve, here, tmp_path: Path) -> None:
    """Exit 2, and the server that stands where the key points saw nothing."""
    scenario = tmp_path / "steered.yaml"
    text = (ROOT / "examples" / "steered_remote.yaml").read_text()
    start = text.index("endpoints:")
    scenario.write_text(
        text[:start] + text[text.index("participants:") :]
    )  # the built-in endpoint, which is moved
    server = serve("200")
    done = here("run", scenario)
    assert done.exit_code == 2
    assert "cannot honour 'interventions'" in done.stderr
    assert server.received == []


def test_a_missing_key_is_told_before_anybody_speaks(here, tmp_path: Path) -> None:
    """Exit 2 with both ways named; the scripted speaker who comes first has not spoken."""
    scenario = tmp_path / "two.yaml"
    scenario.write_text(
        "symposia: 1\nendpoints: {script: {kind: scripted, replies: {ann: [Hello.]}}}\n"
        "participants: {ann: {model: 'script:a'}, bob: {model: 'anthropic:claude-x'}}\nuntil: {type: turns, n: 2}\n"
    )
    done = here("run", scenario)
    assert done.exit_code == 2
    assert "ANTHROPIC_API_KEY_FILE" in done.stderr
    assert "Hello." not in done.stdout


def test_a_dry_run_needs_no_key(here) -> None:
    """Nothing is asked, so nothing is needed."""
    done = here("run", ONE, "--dry-run")
    assert done.exit_code == 0, done.stderr
    assert "at most" in done.stdout


def test_prices_of_an_endpoint_make_a_cost(against: Against, tmp_path: Path) -> None:
    """Declared beside the endpoint, by the server's name of the model."""
    scenario = tmp_path / "priced.yaml"
    scenario.write_text(
        "symposia: 1\nendpoints: {openai: {kind: openai, prices: {m: {input: 0, output: 1000000}}}}\n"
        "participants: {ann: {model: 'openai:m'}}\nprompt: {author: bob, text: Hello.}\nuntil: {type: turns, n: 1}\n"
    )
    done = against("200", "run", scenario)
    assert done.exit_code == 0, done.stderr
    assert "$11" in done.stderr
    bad = against("200", "run", scenario, "--set", "endpoints.openai.base_url=http://far.test/v1")
    assert bad.exit_code == 2
    assert "unencrypted" in bad.stderr


def test_endpoints_are_listed(here, tmp_path: Path) -> None:
    """Built in and declared, with where each key is looked for, never the key."""
    scenario = tmp_path / "s.yaml"
    scenario.write_text(
        "symposia: 1\nendpoints: {gpu: {kind: openai, flavour: vllm, rpm: 600, key: 'env:GPU_KEY'}}\n"
        "participants: {ann: {model: 'gpu:m'}}\n"
    )
    done = here("endpoints", "list", "--scenario", scenario)
    assert done.exit_code == 0, done.stderr
    rows = {line.split()[0]: line for line in done.stdout.splitlines()[1:]}
    assert set(rows) == {"openai", "anthropic", "openrouter", "ollama", "vllm", "sglang", "gpu"}
    assert "OPENAI_API_KEY (not there)" in rows["openai"]
    assert "600" in rows["gpu"]
    assert json.loads(here("endpoints", "list", "--json").stdout)["vllm"]["url"] == "http://localhost:8000/v1"


@pytest.mark.parametrize("name", ["openai", "anthropic"])
def test_a_row_is_checked_against_the_endpoint(against: Against, name: str) -> None:
    """Each row holds or differs, with what was seen; a server that never calls a tool differs there, exit 1."""
    done = against("200", "endpoints", "check", f"{name}:gpt-x", "--json")
    assert done.exit_code == 1, done.stderr
    rows = {row["what"]: row for row in json.loads(done.stdout)["rows"]}
    assert {what for what, row in rows.items() if not row["holds"]} == {"tools", "unknown model"}
    assert rows["interventions"]["saw"] == "refused, not sent: interventions"
    assert rows["force"]["saw"] == "add({'a': 1, 'b': 1})"
    plain = against("no-usage", "endpoints", "check", f"{name}:gpt-x")
    assert "differs stream and usage" in plain.stdout
    assert "holds   stop" in plain.stdout


def test_a_check_of_nobody_fails(against: Against, here) -> None:
    """An endpoint that does not answer is exit 3; a name that is none is exit 2, with those there are."""
    assert against("401", "endpoints", "check", "openai:gpt-x").exit_code == 3
    done = here("endpoints", "check", "nobody:m")
    assert done.exit_code == 2
    assert "openrouter:MODEL" in done.stderr


def test_a_tool_loop_with_a_hosted_model(against: Against, tmp_path: Path) -> None:
    """A scenario's tool is offered, called and answered over the wire."""
    scenario = tmp_path / "tools.yaml"
    scenario.write_text(
        "symposia: 1\nparticipants: {ann: {model: 'openai:m', tools: [calculator]}}\n"
        "prompt: {author: bob, text: 'What is 6 * 7?'}\nuntil: {type: turns, n: 1}\n"
    )
    call = Reply(calls=(Call(name="calculator", arguments={"expression": "6 * 7"}),))
    done = against("200", "run", scenario, "--json", replies=[call, "It is 42."])
    assert done.exit_code == 0, done.stderr
    assert "It is 42." in done.stdout
    assert '"42"' in done.stdout


@pytest.mark.parametrize("address", ["openai:gpt-x", "anthropic:claude-x"])
def test_chat_with_a_hosted_model(serve, here, address: str) -> None:
    """A line, a reply; without a temperature of the user's, one that every provider takes."""
    server = serve("200", ["Hello, you."])
    done = here("chat", address, stdin="Hello?\n/quit\n")
    assert done.exit_code == 0, done.stderr
    assert "Hello, you." in done.stdout
    assert "temperature" not in server.asked[0].body
    assert here("chat", "anthropic:claude-x", "--temperature", "0.5", stdin="Hello?\n").exit_code == 2


def test_a_knob_that_cannot_be_sent_is_refused_before_anybody_speaks(here, tmp_path: Path) -> None:
    """Exit 2 for the second speaker's, while the first has said nothing, without a key or a connection."""
    scenario = tmp_path / "two.yaml"
    scenario.write_text(
        "symposia: 1\nendpoints: {script: {kind: scripted, replies: {ann: [Hello.]}}}\n"
        "participants:\n  ann: {model: 'script:a'}\n"
        "  bob: {model: 'anthropic:claude-x', sampling: {temperature: 0.3}}\nuntil: {type: turns, n: 2}\n"
    )
    done = here("run", scenario)
    assert done.exit_code == 2
    assert "temperature=0.3" in done.stderr
    assert "sampling_in_body" in done.stderr
    assert "Hello." not in done.stdout
