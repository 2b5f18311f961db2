"""`python benchmarks/serve.py [--peer litellm] [--repeats N] [--quick]`: what a server costs between caller and model.

The same upstream, the same load, one server after another, again and again (A/B/C/A/B/C); each server has one core,
upstream and load the other. Ours does everything: keys, budgets, routing, metrics, log, events to SQLite. Latency is
taken outside, from the moment a request was meant to be sent; CPU is the process tree's, from /proc. A run during which
others had more than a tenth of the machine is dropped, counted, and tried again. Every run is a line of `--raw`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "src"))
sys.path.insert(0, str(Path(__file__).parent))

from rows import grid, machine, progress
from serving import processes, servers
from serving.servers import HERE, Running

SHORT, LONG = 34, 234
FAST, SLOW, STREAMS = 500, 50, 20
TRIES = 3
Answer = dict[str, Any]


@dataclass
class Run:
    """One load on one server. `foreign` is the share of the machine that others had meanwhile."""

    arm: str
    phase: str
    repeat: int
    foreign: float
    cpu_s: float
    rss_mb: float
    answer: Answer
    kept: bool = True


@dataclass
class Bench:
    """Who loads, who answers, what was seen."""

    load: subprocess.Popen[str]
    stub: int
    stub_port: int
    busy: float
    raw: Path
    runs: list[Run] = field(default_factory=list)
    starts: dict[str, list[float]] = field(default_factory=dict)

    def ask(self, order: dict[str, Any]) -> Answer:
        """An order to the load, and its answer."""
        assert self.load.stdin is not None
        assert self.load.stdout is not None
        print(json.dumps(order), file=self.load.stdin, flush=True)
        line = self.load.stdout.readline()
        assert line, f"the load ended with {self.load.wait()}; its standard error is above"
        answer: Answer = json.loads(line)
        return answer

    def run(self, arm: str, phase: str, repeat: int, where: Running, order: dict[str, Any]) -> Run:
        """One load, again while others disturb it."""
        made: Run | None = None
        for _ in range(TRIES):
            roots = [where.pid, self.stub, self.load.pid]
            before, used = processes.moment(roots), processes.cpu_s(where.pid)
            whole = {"port": where.port, "key": where.key, "model": "tiny", "stream": False, "tokens": SHORT}
            answer = self.ask({**whole, **order})
            cpu = processes.cpu_s(where.pid) - used
            share = processes.foreign(before, processes.moment(roots))
            made = Run(
                arm, phase, repeat, share, cpu, processes.resident_mb(where.pid), answer, share <= self.busy
            )
            self.note(made)
            if made.kept:
                break
        assert made is not None
        return made

    def note(self, made: Run) -> None:
        """Keep a run, here and in the file."""
        self.runs.append(made)
        with self.raw.open("a", encoding="utf-8") as file:
            file.write(servers.dumps(asdict(made)) + "\n")
        seen = made.answer
        told = f"{len(seen.get('latencies_us', ()))} answered, {seen.get('errors', 0)} errors"
        mark = "" if made.kept else "  dropped"
        progress(f"{made.repeat} {made.arm:<9} {made.phase:<10} {told}; others {made.foreign:.0%}{mark}")


def measure(bench: Bench, arm: str, repeat: int, where: Running, seconds: float) -> None:
    """All loads on one server."""

    def run(phase: str, **order: Any) -> Run:
        return bench.run(arm, phase, repeat, where, order)

    bench.ask(
        {
            "port": where.port,
            "key": where.key,
            "model": "tiny",
            "stream": False,
            "tokens": 9,
            "at_once": 4,
            "seconds": 1.0,
        }
    )
    run("slow", rate=SLOW, seconds=seconds, seed=repeat)
    if arm != "litellm":  # it answers a third of them
        run("fast", rate=FAST, seconds=seconds, seed=repeat)
    run("first", rate=STREAMS, seconds=seconds, seed=repeat, stream=True, model="paced")
    if arm == "direct":
        return
    run("saturated", at_once=16, seconds=seconds)
    run("short", at_once=8, seconds=seconds, stream=True, tokens=SHORT)
    run("long", at_once=8, seconds=seconds, stream=True, tokens=LONG)
    run("paced", at_once=8, seconds=seconds, stream=True, tokens=SHORT, model="paced")
    before = processes.resident_mb(where.pid)
    held = run("idle", hold=1000, stream=True, model="hang")
    held.answer["kb_each"] = (held.rss_mb - before) * 1024 / max(held.answer["pieces"], 1)
    bench.ask({})


def repeat_all(bench: Bench, arms: Sequence[str], repeats: int, seconds: float) -> None:
    """Every arm in turn, each server fresh."""
    upstream = f"http://127.0.0.1:{bench.stub_port}/v1"
    direct = Running(bench.stub, bench.stub_port, "none", 0.0)
    for repeat in range(repeats):
        for arm in arms:
            if arm == "direct":
                measure(bench, arm, repeat, direct, seconds)
                continue
            with (
                tempfile.TemporaryDirectory() as folder,
                servers.running(arm, upstream, Path(folder)) as where,
            ):
                bench.starts.setdefault(arm, []).append(where.start_s)
                measure(bench, arm, repeat, where, seconds)


@contextlib.contextmanager
def assembled(busy: float, raw: Path) -> Iterator[Bench]:
    """Upstream and load, on the second core."""
    with tempfile.TemporaryDirectory() as folder:
        port = servers.free_port()
        stub = [sys.executable, str(HERE / "stub.py"), str(port)]
        with servers.listening(stub, port, core=1, told=Path(folder) / "stub.log") as upstream:
            load = subprocess.Popen(
                [sys.executable, str(HERE / "load.py")],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                preexec_fn=servers.pinned(1),  # noqa: PLW1509  no threads here
            )
            try:
                yield Bench(load, upstream.pid, port, busy, raw)
            finally:
                load.communicate("")


@dataclass(frozen=True)
class Line:
    """A quantity: what each arm took, and the bar that ours has. `most`: it is an upper one."""

    what: str
    unit: str
    bar: float | None
    of: Callable[[Bench, str], float | None]
    most: bool = True


def kept(bench: Bench, arm: str, phase: str) -> list[Run]:
    """The runs that count."""
    return [run for run in bench.runs if (run.arm, run.phase, run.kept) == (arm, phase, True)]


def quantile(values: Sequence[float], share: float) -> float | None:
    """The smallest value that so many do not exceed."""
    return sorted(values)[max(0, -(-int(share * 1000) * len(values) // 1000) - 1)] if values else None


def added(phase: str, name: str, share: float) -> Callable[[Bench, str], float | None]:
    """Milliseconds more than without a server between, of the same repeats' requests together."""

    def of(bench: Bench, arm: str) -> float | None:
        ours = [us for run in kept(bench, arm, phase) for us in run.answer[name]]
        bare = [us for run in kept(bench, "direct", phase) for us in run.answer[name]]
        one, other = quantile(ours, share), quantile(bare, share)
        return None if one is None or other is None else (one - other) / 1000

    return of


def median(phase: str, of: Callable[[Run], float]) -> Callable[[Bench, str], float | None]:
    """The middle one of a phase's runs."""

    def value(bench: Bench, arm: str) -> float | None:
        found = [
            of(run) for run in kept(bench, arm, phase) if run.answer.get("latencies_us") or phase == "idle"
        ]
        return statistics.median(found) if found else None

    return value


def _each(run: Run) -> float:
    return run.cpu_s / len(run.answer["latencies_us"])


def chunk_us(bench: Bench, arm: str) -> float | None:
    """CPU of one more piece: long streams less short ones."""
    short, long = (median(phase, _each)(bench, arm) for phase in ("short", "long"))
    return None if short is None or long is None else (long - short) / (LONG - SHORT) * 1e6


def start_s(bench: Bench, arm: str) -> float | None:
    """The middle one of all starts."""
    return statistics.median(bench.starts[arm]) if bench.starts.get(arm) else None


LINES = (
    Line(f"added latency p50, {FAST} req/s", "ms", 0.5, added("fast", "latencies_us", 0.5)),
    Line(f"added latency p99, {FAST} req/s", "ms", 1.5, added("fast", "latencies_us", 0.99)),
    Line(f"added latency p50, {SLOW} req/s", "ms", None, added("slow", "latencies_us", 0.5)),
    Line(f"added latency p99, {SLOW} req/s", "ms", None, added("slow", "latencies_us", 0.99)),
    Line(
        "requests a second of a core",
        "req/s",
        2500,
        median("saturated", lambda run: 1 / _each(run)),
        most=False,
    ),
    Line("CPU a request, saturated", "ms", None, median("saturated", lambda run: 1000 * _each(run))),
    Line("CPU a relayed piece", "us", 15, chunk_us),
    Line(f"CPU a stream of {SHORT} pieces", "ms", None, median("short", lambda run: 1000 * _each(run))),
    Line(
        f"CPU a stream of {SHORT} pieces, one a 10 ms",
        "ms",
        None,
        median("paced", lambda run: 1000 * _each(run)),
    ),
    Line("added time to first token p99", "ms", 1.0, added("first", "first_us", 0.99)),
    Line("resident memory, after load", "MB", 120, median("saturated", lambda run: run.rss_mb)),
    Line("start to listening", "s", 1.0, start_s),
    Line("memory of an idle stream, of 1,000", "KB", 40, median("idle", lambda run: run.answer["kb_each"])),
)
HEAD = ("what", "ours", "bar", "verdict", "LiteLLM", "ratio", "plain relay")


def cells(line: Line, bench: Bench) -> tuple[str, ...]:
    """A quantity as the table prints it; the ratio is how many times better than LiteLLM we are."""
    ours, peer, plain = (line.of(bench, arm) for arm in ("symposia", "litellm", "relay"))
    ratio = ""
    if ours and peer and ours > 0:
        ratio = f"{peer / ours if line.most else ours / peer:.1f} x"
    bar = "-" if line.bar is None else f"{'<=' if line.most else '>='} {line.bar:g} {line.unit}"
    return (
        line.what,
        shown(ours, line),
        bar,
        verdict(line, ours),
        shown(peer, line),
        ratio,
        shown(plain, line),
    )


def shown(value: float | None, line: Line) -> str:
    """Three figures with the unit."""
    return (
        "not measured"
        if value is None
        else f"{value:,.3g} {line.unit}"
        if abs(value) < 1000
        else f"{value:,.0f} {line.unit}"
    )


def verdict(line: Line, ours: float | None) -> str:
    """Whether the bar is reached."""
    if line.bar is None:
        return "-"
    if ours is None:
        return "not measured"
    return "met" if (ours <= line.bar if line.most else ours >= line.bar) else "MISSED"


def report(bench: Bench, arms: Sequence[str]) -> int:
    """The table, then what was dropped and what went wrong; 1 if a bar is missed."""
    table = [HEAD, *(cells(line, bench) for line in LINES)]
    print(grid(table))
    dropped = sum(not run.kept for run in bench.runs)
    others = statistics.median(run.foreign for run in bench.runs)
    wrong = {arm: sum(r.answer.get("errors", 0) for r in bench.runs if r.arm == arm) for arm in arms}
    late = quantile([us for run in bench.runs if run.kept for us in run.answer.get("late_us", ())], 0.99)
    print(
        f"\n{len(bench.runs)} runs, {dropped} dropped (others had more than {bench.busy:.0%} of the machine)"
    )
    print(f"others had {others:.0%} of the machine during the middle one of all runs")
    print("errors: " + ", ".join(f"{arm} {count}" for arm, count in wrong.items()))
    print(f"requests were sent late by at most {(late or 0) / 1000:.2f} ms (p99); raw: {bench.raw}")
    peer = f"LiteLLM {servers.version(servers.PEER.with_name('python'))}; " if "litellm" in arms else ""
    print(f"{peer}{machine()}")
    return int(any(row[3] == "MISSED" for row in table))


def main() -> int:
    """Measures, prints; 1 if a bar is missed."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument(
        "--peer", choices=("litellm",), action="append", default=[], help="compare with it too"
    )
    options.add_argument("--repeats", type=int, default=5)
    options.add_argument("--seconds", type=float, default=5.0, help="of each load")
    options.add_argument("--quick", action="store_true", help="one repeat, short loads; noisy")
    options.add_argument("--busy", type=float, default=0.1, help="share of the machine others may have")
    options.add_argument("--arms", nargs="+", default=["direct", "symposia", "relay"], help="which servers")
    options.add_argument("--raw", type=Path, default=Path(".cache/benchmarks/serve.jsonl"))
    chosen = options.parse_args()
    arms = [*chosen.arms, *chosen.peer]
    if "litellm" in arms and not servers.PEER.exists():
        print(f"no LiteLLM at {servers.PEER}: `make .venv/.stamps/litellm`", file=sys.stderr)
        return 2
    chosen.raw.parent.mkdir(parents=True, exist_ok=True)
    chosen.raw.write_text("")
    repeats, seconds = (1, 2.0) if chosen.quick else (chosen.repeats, chosen.seconds)
    began = time.perf_counter()
    with assembled(chosen.busy, chosen.raw) as bench:
        repeat_all(bench, arms, repeats, seconds)
        progress(f"{time.perf_counter() - began:.0f} s")
        return report(bench, arms)


if __name__ == "__main__":
    raise SystemExit(main())
