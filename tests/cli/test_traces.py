"""`symposia traces`: every line is read or named; numbers recount; what is exported can be read."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import Result

from symposia.cli.traces.stats import quantile
from symposia.core.trace import Flags, Trace
from symposia.core.usage import Usage
from tests.cli.process import COMMAND, ROOT, environment
from tests.traced import CALLED, DAY, failed, traced

Here = Callable[..., Result]
KEY = "sk-" + "a1" * 12


def kept(folder: Path, *traces: Trace, day: str = "2026-09-22", after: bytes = b"") -> Path:
    path = folder / f"{day}.jsonl"
    path.write_bytes(b"".join(msgspec.json.encode(each) + b"\n" for each in traces) + after)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    kept(tmp_path, *(traced(request_id=f"req_{i}", time=DAY + i, latency_ms=100.0 * i) for i in range(1, 5)))
    slow = Flags(degenerate="loop", slow=True)
    kept(
        tmp_path,
        traced(request_id="req_5", profile="calm", flags=slow, time=DAY + 86_400),
        failed(request_id="req_6", profile="calm", arm="challenger", canary="cn_1", time=DAY + 86_401),
        day="2026-09-23",
    )
    return tmp_path


def test_tail_shows_the_newest(here: Here, folder: Path) -> None:
    """A line each, in order: what answered, how it ended, how it began; `--json` gives the lines themselves."""
    shown = here("traces", "tail", folder, "-n", 3).stdout.splitlines()
    assert [line.split("  ")[1] for line in shown] == ["tiny", "tiny@calm", "tiny@calm (challenger)"]
    assert all("What is 6 x 7?" in line for line in shown)
    assert "loop slow" in shown[1]
    assert "provider_timeout" in shown[2]
    raw = here("traces", "tail", folder, "-n", 2, "--json").stdout
    assert raw.encode() == (folder / "2026-09-23.jsonl").read_bytes()


def test_stats_recount(here: Here, folder: Path) -> None:
    """By what answered: how many, how they ended, what they cost, how long they took."""
    told = json.loads(here("traces", "stats", folder, "--json").stdout)["served"]
    assert list(told) == ["tiny", "tiny@calm", "tiny@calm (challenger)"]
    plain = told["tiny"]
    assert (plain["requests"], plain["errors"], plain["prompt_tokens"]) == (4, 0, 40)
    assert plain["latency_ms"] == {"p50": 200.0, "p90": 400.0, "p99": 400.0}
    assert (told["tiny@calm"]["degenerate"], told["tiny@calm"]["slow"]) == (1, 1)
    lost = told["tiny@calm (challenger)"]
    assert (lost["errors"], lost["completion_tokens"], lost["ttft_ms"]["p50"]) == (1, 0, None)
    table = here("traces", "stats", folder)
    assert table.exit_code == 0
    assert "provider" not in table.stdout
    assert len(table.stdout.splitlines()) == 4


def test_read_shows_what_was_said(here: Here, tmp_path: Path) -> None:
    """Request by request, calls and reasoning too; one of them by its id."""
    talked = traced(said="one\ntwo", request_id="req_9")
    path = kept(tmp_path, traced(), msgspec.structs.replace(talked, messages=(*talked.messages, CALLED)))
    whole = here("traces", "read", path).stdout
    assert whole.count("user │") == 2
    assert whole.index("req_1") < whole.index("req_9")
    one = here("traces", "read", path, "--request", "req_9").stdout
    assert "req_1 " not in one
    assert '(calls times {"a":6})' in one
    assert "one\n          │ two" in one
    assert here("traces", "read", path, "--request", "req_7").exit_code == 2


@pytest.mark.parametrize("command", ["tail", "stats", "read", "export"])
def test_what_cannot_be_read_is_named(here: Here, tmp_path: Path, command: str) -> None:
    """File, line and cause, on standard error; the rest is read; exit code 1. Nothing of a secret is repeated."""
    bad = b'{"format": "symposia.trace/9", "request_id": "' + KEY.encode() + b'"}\nnot json\n{"unended": '
    path = kept(tmp_path, traced(), after=bad)
    done = here("traces", command, path)
    assert done.exit_code == 1
    for number in (2, 3, 4):
        assert f"{path}:{number}: " in done.stderr
    assert KEY not in done.output
    assert done.stdout


def test_no_file_is_bad_input(here: Here, tmp_path: Path) -> None:
    """A folder without traces says who writes them; a missing file its name."""
    empty = here("traces", "stats", tmp_path)
    assert (empty.exit_code, "serve --traces" in empty.stderr) == (2, True)
    assert here("traces", "stats", tmp_path / "none.jsonl").exit_code == 2
    assert here("traces", "export", tmp_path, "--to", "csv").exit_code == 2


def test_export_is_one_span_a_request(here: Here, folder: Path, tmp_path: Path) -> None:
    """To standard output or a file, the same; `tests/serve/test_otlp.py` has what a span says."""
    printed = here("traces", "export", folder, "--to", "otlp-json")
    path = tmp_path / "spans.json"
    assert here("traces", "export", folder, "-o", path).exit_code == 0
    assert path.read_text() == printed.stdout
    (document,) = map(json.loads, printed.stdout.splitlines())
    spans = document["resourceSpans"][0]["scopeSpans"][0]["spans"]
    assert len(spans) == 6
    assert spans[-1]["status"]["message"] == "provider_timeout"


def test_export_leaves_no_secret(here: Here, tmp_path: Path) -> None:
    """A file somebody else wrote may hold one."""
    path = kept(tmp_path, traced(said=f"my key\n{KEY}"))
    done = here("traces", "export", path)
    assert done.exit_code == 0
    assert KEY not in done.stdout
    assert "[redacted:api_key]" in done.stdout


def test_tail_follows(folder: Path) -> None:
    """Lines that come, whole, in a file of a new day too; a half line waits for its end; Ctrl-C ends it."""
    following = subprocess.Popen(
        [*COMMAND, "traces", "tail", str(folder), "-n", "1", "--follow", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=environment(),
    )
    assert following.stdout is not None
    try:
        assert json.loads(following.stdout.readline())["request_id"] == "req_6"
        fresh = msgspec.json.encode(traced(request_id="req_7", usage=Usage())) + b"\n"
        with (folder / "2026-09-23.jsonl").open("ab") as file:
            file.write(fresh[:50])
            file.flush()
            kept(folder, traced(request_id="req_8"), day="2026-09-24")
            assert json.loads(following.stdout.readline())["request_id"] == "req_8"
            file.write(fresh[50:])
        assert json.loads(following.stdout.readline())["request_id"] == "req_7"
    finally:
        following.send_signal(signal.SIGINT)
        _, told = following.communicate(timeout=20)
    assert following.returncode == 130, told


@given(st.lists(st.floats(0, 1e6), min_size=1), st.sampled_from([0.5, 0.9, 0.99]))
def test_a_quantile_is_a_value_enough_do_not_exceed(values: list[float], share: float) -> None:
    """And none smaller will do."""
    found = quantile(sorted(values), share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values)
    assert sum(value < found for value in values) < share * len(values)
