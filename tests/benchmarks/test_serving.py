"""Promise: the harness of `benchmarks/serve.py` sends what it says and counts what came. Nothing here is timed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("uvloop", reason="needs uvloop: pip install 'symposia[serve]'")
ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

from serve import LINES as TABLE  # noqa: E402
from serve import Bench, Run, added, cells, chunk_us, quantile, verdict  # noqa: E402
from serving import processes, servers  # noqa: E402

Ask = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def stub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """An upstream that listens."""
    port, told = servers.free_port(), tmp_path_factory.mktemp("stub") / "stub.log"
    command = [sys.executable, str(servers.HERE / "stub.py"), str(port)]
    with servers.listening(command, port, core=1, told=told):
        yield port


@pytest.fixture(scope="module", params=["direct", "relay"])
def ask(request: pytest.FixtureRequest, stub: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    """Orders to a load, on the upstream itself and through a relay."""
    command = [sys.executable, str(servers.HERE / "load.py")]
    load = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert load.stdin is not None
    assert load.stdout is not None

    def sent(port: int) -> Ask:
        def order(**asked: Any) -> dict[str, Any]:
            usual = {"port": port, "key": "k", "model": "tiny", "stream": False, "tokens": 5}
            print(json.dumps({**usual, **asked}), file=load.stdin, flush=True)
            answer: dict[str, Any] = json.loads(load.stdout.readline())
            return answer

        return order

    try:
        if request.param == "direct":
            yield sent(stub)
        else:
            folder = tmp_path_factory.mktemp("relay")
            with servers.running("relay", f"http://127.0.0.1:{stub}/v1", folder) as where:
                yield sent(where.port)
    finally:
        load.communicate("")


def test_an_open_loop_sends_what_it_drew(ask: Ask) -> None:
    """As many requests as the seed says, all answered; streams with every piece."""
    whole = ask(rate=200, seconds=0.5, seed=1)
    again = ask(rate=200, seconds=0.5, seed=1)
    assert whole["errors"] == again["errors"] == whole["unanswered"] == 0
    assert len(whole["latencies_us"]) == len(again["latencies_us"]) > 50
    streamed = ask(rate=40, seconds=0.5, seed=2, stream=True, model="paced")
    assert streamed["errors"] == 0
    assert streamed["pieces"] == 5 * len(streamed["first_us"]) > 0
    assert all(f <= whole for f, whole in zip(streamed["first_us"], streamed["latencies_us"], strict=True))


def test_a_closed_loop_waits_for_its_answers(ask: Ask) -> None:
    """Nothing is left open, nothing counted twice."""
    seen = ask(at_once=3, seconds=0.2, stream=True)
    assert (seen["errors"], seen["pieces"]) == (0, 5 * len(seen["latencies_us"]))
    assert len(seen["latencies_us"]) >= 3


def test_streams_are_held_until_they_are_let_go(ask: Ask) -> None:
    """So many, each with one piece."""
    assert ask(hold=20, stream=True, model="hang")["pieces"] == 20
    assert ask() == {}


def test_a_server_that_ends_is_an_error(tmp_path: Path) -> None:
    """Not a run without answers; what it said last is in the message."""
    command = [sys.executable, "-c", "raise SystemExit('no port for you')"]
    with (
        pytest.raises(RuntimeError, match="no port for you"),
        servers.listening(command, servers.free_port(), core=0, told=tmp_path / "log"),
    ):
        pass


def test_cpu_is_of_the_whole_tree() -> None:
    """A child's work is its parent's too, and nobody else's."""
    code = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'while True: pass'])\n"
        "print('ready', flush=True); sys.stdin.read(); child.kill(); child.wait()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        assert len(list(processes.tree(parent.pid))) == 2
        before = processes.cpu_s(parent.pid)
        while processes.cpu_s(parent.pid) < before + 0.05:
            pass
        assert processes.resident_mb(parent.pid) > processes.resident_mb(os.getpid()) / 100
        parent.communicate("")


def run(
    arm: str, phase: str, repeat: int = 0, *, kept: bool = True, cpu_s: float = 1.0, **answer: Any
) -> Run:
    return Run(arm, phase, repeat, 0.0, cpu_s, 50.0, answer, kept)


def bench(*runs: Run) -> Bench:
    made = Bench(None, 0, 0, 0.1, Path("raw"))  # type: ignore[arg-type]
    made.runs = list(runs)
    return made


def test_what_was_disturbed_does_not_count() -> None:
    """Added latency is the difference of quantiles over the runs that were kept."""
    seen = bench(
        run("direct", "fast", latencies_us=[100] * 99 + [500]),
        run("symposia", "fast", latencies_us=[400] * 99 + [900]),
        run("symposia", "fast", 1, kept=False, latencies_us=[10**6] * 100),
    )
    assert added("fast", "latencies_us", 0.5)(seen, "symposia") == 0.3
    assert added("fast", "latencies_us", 1.0)(seen, "symposia") == 0.4
    assert added("fast", "latencies_us", 0.5)(seen, "litellm") is None
    assert quantile([], 0.5) is None


def test_a_piece_costs_what_longer_streams_cost_more() -> None:
    """The request itself is in both."""
    seen = bench(
        run("symposia", "short", cpu_s=1.0, latencies_us=[1] * 1000),
        run("symposia", "long", cpu_s=3.0, latencies_us=[1] * 1000),
    )
    assert chunk_us(seen, "symposia") == pytest.approx(10.0)


def test_a_bar_is_met_missed_or_not_measured() -> None:
    """Upper ones from below, the rate from above."""
    rate = next(line for line in TABLE if not line.most)
    memory = next(line for line in TABLE if line.unit == "MB")
    assert (verdict(rate, 2600.0), verdict(rate, 2400.0), verdict(rate, None)) == (
        "met",
        "MISSED",
        "not measured",
    )
    assert (verdict(memory, 100.0), verdict(memory, 130.0)) == ("met", "MISSED")
    seen = bench(
        run("symposia", "saturated", cpu_s=1.0, latencies_us=[1] * 3000),
        run("litellm", "saturated", cpu_s=10.0, latencies_us=[1] * 1500),
    )
    assert cells(rate, seen)[1:6] == ("3,000 req/s", ">= 2500 req/s", "met", "150 req/s", "20.0 x")
