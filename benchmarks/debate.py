"""`python benchmarks/debate.py [--quick] [--only NAME ...]`: what a debate costs beside its model calls.

A thousand debates of three seats on an endpoint that answers at once, twenty at a time; openai-420 holds as many in
the same run, without a journal since it has none. Each arm runs in a process of its own; the least of the repeats
counts.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from peers import openai_420
from rows import Row, not_measured, parser, progress, report

HERE = Path(__file__).parent
ARMS = ("scripted", "sdk", "plain", "engine", "statistics")
PEER = "openai-420 0.0.3"
AT_ONCE = 20


class Arms:
    """Ours in a fresh process an order, the peer's in its worker."""

    def __init__(self, peer: openai_420.Worker | None, repeats: int, debates: int) -> None:
        self.peer, self.repeats, self.debates = peer, repeats, debates

    def ours(
        self, arm: str, *, rounds: int = 1, journal: bool = True, url: str = "", share: int = 1
    ) -> list[dict[str, float]]:
        """Every repeat of an arm, the cheapest first."""
        asked = {"arm": arm, "debates": self.debates // share, "rounds": rounds, "at_once": AT_ONCE}
        order = json.dumps({**asked, "journal": journal, "url": url}) + "\n"
        told = []
        for _ in range(self.repeats):
            ran = subprocess.run(
                [sys.executable, str(HERE / "debating.py")],
                input=order,
                capture_output=True,
                text=True,
                check=False,
            )
            assert ran.returncode == 0, ran.stderr
            told.append(json.loads(ran.stdout))
        return sorted(told, key=lambda each: each["cpu_s"])

    def theirs(self, *, rounds: int = 1, url: str = "", share: int = 1) -> dict[str, float] | None:
        """The peer's cheapest repeat, with its calls: seats and captain each round, then the choice."""
        if self.peer is None:
            return None
        debates = self.debates // share
        told = [self.peer.work(debates, rounds, AT_ONCE, url) for _ in range(self.repeats)]
        return {**min(told, key=lambda each: each["cpu_s"]), "calls": debates * (4 * rounds + 1)}


def ms(told: dict[str, float]) -> float:
    """CPU milliseconds a call."""
    return 1e3 * told["cpu_s"] / told["calls"]


def limit(what: str, value: float, most: float, unit: str, against: str = "bar") -> Row:
    """A figure with an upper bar."""
    return Row(what, against, value, None, unit, value, unit, most, True)


def beside(what: str, ours: float, theirs: dict[str, float] | None, why_not: str) -> Row:
    """How many times the peer's CPU a call is ours."""
    if theirs is None:
        return not_measured(what, PEER, None, why_not, ours=ours, unit="ms")
    return Row(what, PEER, ours, ms(theirs), "ms", ms(theirs) / ours)


def scripted(arms: Arms, why_not: str) -> Iterator[Row]:
    """Debates on a script: the harness and nothing else."""
    one = arms.ours("scripted")[0]
    three = arms.ours("scripted", rounds=3)[0]
    without = arms.ours("scripted", journal=False)[0]
    theirs, theirs_3 = arms.theirs(), arms.theirs(rounds=3)
    rate = arms.debates / one["wall_s"]
    yield limit("CPU a call, journal on", ms(one), 0.5, "ms")
    yield Row("debates a second, journal on", "bar", rate, None, "/s", rate, "/s", 250)
    yield limit("memory, journal on", three["rss_mb"], 80, "MB")
    yield limit(
        "CPU a call of 3 rounds over one of 1", 100 * (ms(three) / ms(one) - 1), 10, "%", "ourselves, 1 round"
    )
    yield beside("CPU a call, 1 round, journal on", ms(one), theirs, why_not)
    yield beside("CPU a call, 3 rounds, journal on", ms(three), theirs_3, why_not)
    yield beside("CPU a call, 1 round, no journal", ms(without), theirs, why_not)
    if theirs is not None:
        theirs_rate = arms.debates / theirs["wall_s"]
        yield Row("debates a second", PEER, rate, theirs_rate, "/s", rate / theirs_rate)


def plain(arms: Arms) -> Iterator[Row]:
    """Conversations of ten turns, without a journal: a call and nothing else, on a script and through the SDK."""
    yield limit("CPU a call of a conversation, no SDK", ms(arms.ours("plain", journal=False)[0]), 0.1, "ms")
    inside = arms.ours("talked", journal=False, share=4)[0]
    yield limit("CPU a call of a conversation, openai SDK, transport in the process", ms(inside), 0.6, "ms")


def sdk(arms: Arms, why_not: str) -> Iterator[Row]:
    """Through the openai SDK: a transport in the process, then a server on loopback."""
    inside = arms.ours("sdk", journal=False, share=4)[0]
    what = "CPU a call, openai SDK, transport in the process"
    yield beside(what, ms(inside), arms.theirs(share=4), why_not)
    with upstream() as url:
        outside = arms.ours("sdk", url=url, share=4)[0]
        theirs = arms.theirs(url=url, share=4)
    yield limit("CPU a call, openai SDK, server on loopback, journal on", ms(outside), 1.2, "ms")
    yield beside("the same", ms(outside), theirs, why_not)


def engine(arms: Arms) -> Iterator[Row]:
    """Five seats, at most three rounds, on the bundled model: four questions of the shipped ordering set."""
    told = arms.ours("engine", rounds=3)[0]
    cached, prompts, most = told["cached_tokens"], told["prompt_tokens"], told["reachable_tokens"]
    what, bound = (
        "prompt tokens from the prefix cache, 5 seats, 3 rounds",
        "what an earlier prompt or reply began with",
    )
    yield Row(what, "all prompt tokens", cached, prompts, "tokens", 100 * cached / prompts, "%", 70)
    yield Row(what, bound, cached, most, "tokens", 100 * cached / most, "%")


def statistics(arms: Arms) -> Iterator[Row]:
    """Five methods, a thousand items: accuracies, intervals, tests."""
    seconds = arms.ours("statistics")[0]["cpu_s"]
    yield limit("a scorecard's statistics, 5 methods x 1,000 items", seconds, 3, "s")


@contextmanager
def upstream() -> Iterator[str]:
    """The endpoint as a server of its own."""
    process = subprocess.Popen([sys.executable, str(HERE / "upstream.py")], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait()


def measure(arms: Arms, only: list[str], why_not: str) -> Iterator[Row]:
    """All rows asked for."""
    for name in only:
        progress(f"{name} ...")
        match name:
            case "scripted":
                yield from scripted(arms, why_not)
            case "sdk":
                yield from sdk(arms, why_not)
            case "plain":
                yield from plain(arms)
            case "engine":
                yield from engine(Arms(None, 1, arms.debates))
            case "statistics":
                yield from statistics(Arms(None, arms.repeats, 1000))


def main() -> int:
    """Measure and print."""
    options = parser(__doc__, ARMS)
    options.add_argument("--peer-python", type=Path, default=openai_420.DEFAULT, metavar="PATH")
    asked = options.parse_args()
    why_not = openai_420.missing(asked.peer_python)
    repeats = asked.repeats or (2 if asked.quick else 5)
    debates = 200 if asked.quick else 1000
    if why_not:
        rows = list(measure(Arms(None, repeats, debates), asked.only, why_not))
    else:
        with openai_420.worker(asked.peer_python) as peer:
            rows = list(measure(Arms(peer, repeats, debates), asked.only, why_not))
    return report(rows, as_json=asked.json)


if __name__ == "__main__":
    sys.exit(main())
