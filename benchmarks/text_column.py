"""`python benchmarks/text_column.py [--json]`: what conversations cost, without a model. Each row has its bar.

Everything is measured in this process or in a child of it; the backend is `Scripted`, the events stay in memory.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "src"))

from symposia.backends import Scripted
from symposia.core.events import Event, TurnTaken
from symposia.core.message import Message, Text, ToolCall, ToolResult
from symposia.core.parse import SUPPORTED, Parser
from symposia.core.profile import Participant, Profile
from symposia.core.request import Completion, Delta, Request, Syntax
from symposia.core.transcript import Transcript
from symposia.talk.converse import converse
from symposia.talk.protocols import RoundRobin
from symposia.talk.rules import Rules
from symposia.talk.stop import Turns

ROOT = Path(__file__).parent.parent
SENTENCE = "Some words that somebody said to somebody else. " * 4  # 192 characters
HEAVY = ("torch", "transformers", "numpy", "openai", "anthropic", "mcp", "yaml", "rich", "typer", "pydantic")


@dataclass(frozen=True)
class Row:
    """One measurement. `value` is None where it could not be taken; `note` says why."""

    what: str
    value: float | None
    unit: str
    bar: str
    passed: bool | None
    note: str = ""

    def cells(self) -> tuple[str, ...]:
        """The row as text."""
        measured = "skipped" if self.value is None else f"{self.value:.4g} {self.unit}"
        verdict = "-" if self.passed is None else "pass" if self.passed else "MISSED"
        return self.what, measured, self.bar, verdict, self.note


def at_most(what: str, value: float, most: float, unit: str, note: str = "") -> Row:
    """A row whose bar is an upper one."""
    return Row(what, value, unit, f"<= {most:g} {unit}", value <= most, note)


def people(*names: str) -> tuple[Participant, ...]:
    """Participants with a system text each."""
    return tuple(Participant(name=n, profile=Profile(model="m", system=f"You are {n}.")) for n in names)


def best(times: int, measure: Callable[[], float]) -> float:
    """The smallest of several measurements: the machine's noise only adds."""
    return min(measure() for _ in range(times))


def child(code: str) -> str:
    """What a fresh interpreter prints."""
    run = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=True,
    )
    return run.stdout.strip()


def import_time() -> Row:
    """Importing the package and touching its main name, in a fresh process."""
    clocks = "(time.perf_counter(), time.process_time())"
    code = f"import time; a = {clocks}; import symposia; symposia.Conversation; b = {clocks}"
    code += "; print(b[0] - a[0], b[1] - a[1])"
    what = "import symposia; symposia.Conversation (best of 7)"
    try:
        wall, cpu = min(tuple(map(float, child(code).split())) for _ in range(7))
        return at_most(what, wall, 0.15, "s", f"{cpu:.3f} s of CPU")
    except subprocess.CalledProcessError as error:
        return Row(what, None, "s", "<= 0.15 s", None, error.stderr.strip().splitlines()[-1])


def light_import() -> Row:
    """Promise 13: no heavy module is loaded."""
    loaded = child(f"import sys, symposia; print(*[m for m in {HEAVY!r} if m in sys.modules])").split()
    return Row("heavy modules loaded by import symposia", len(loaded), "", "0", not loaded, " ".join(loaded))


def reply(_: Request) -> str:
    """The same words every time: the harness is what is measured."""
    return SENTENCE


def two_parties() -> float:
    """CPU milliseconds a turn, two parties, 20 turns."""
    emitted: list[Event] = []
    began = time.process_time()
    asyncio.run(
        converse(
            RoundRobin(speakers=("ann", "bob")),
            people("ann", "bob"),
            Scripted(reply),
            emit=emitted.append,
            rules=Rules(until=Turns(20)),
        )
    )
    return (time.process_time() - began) / 20 * 1000


def with_trails(names: tuple[str, ...], messages: int) -> Transcript:
    """A transcript in which every third contribution has a tool trail."""
    said: list[Message] = []
    while len(said) < messages:
        name = names[len(said) % len(names)]
        if len(said) % 9 == 0:
            own = frozenset({name})
            call, result = (
                ToolCall(id=f"c{len(said)}", name="f"),
                ToolResult(id=f"c{len(said)}", name="f", text="2"),
            )
            said.append(Message(author=name, parts=(call,), audience=own, origin="sampled", as_of=len(said)))
            said.append(
                Message(author="tool", parts=(result,), audience=own, origin="scripted", as_of=len(said))
            )
        said.append(Message(author=name, parts=(Text(SENTENCE),), origin="sampled", as_of=len(said)))
    return Transcript(tuple(said))


def five_parties() -> float:
    """CPU milliseconds a turn at 200 messages, five parties, labels and trails; ten turns came before."""
    names = ("ann", "bob", "carla", "dan", "eve")
    clock: list[float] = []

    def emit(event: Event) -> None:
        if isinstance(event, TurnTaken):
            clock.append(time.process_time())

    asyncio.run(
        converse(
            RoundRobin(speakers=names),
            people(*names),
            Scripted(reply),
            transcript=with_trails(names, 190),
            emit=emit,
            rules=Rules(until=Turns(30, since=190)),
        )
    )
    return (clock[-1] - clock[9]) / (len(clock) - 10) * 1000


def parser(syntax: Syntax) -> float:
    """MB/s of the stream parser on a long reply in network-sized pieces, thinking and calls looked for."""
    thought, answer = SENTENCE * 200, SENTENCE * 20_000
    text = f"<think>{thought}</think>\n{answer}"
    if syntax == "harmony":
        text = f"<|channel|>analysis<|message|>{thought}<|end|><|start|>assistant<|channel|>final<|message|>{answer}"
    pieces = [text[i : i + 64] for i in range(0, len(text), 64)]
    machine = Parser(syntax)
    began = time.process_time()
    for piece in pieces:
        machine.feed(piece)
    machine.close()
    return len(text.encode()) / 1e6 / (time.process_time() - began)


def parser_rows() -> list[Row]:
    """One for each call syntax."""
    speeds = {syntax: max(parser(syntax) for _ in range(3)) for syntax in SUPPORTED}
    return [
        Row(f"stream parser: {syntax}", speed, "MB/s", ">= 20 MB/s", speed >= 20)
        for syntax, speed in speeds.items()
    ]


def save_and_load() -> float:
    """Seconds to store and read 10,000 messages."""
    transcript = with_trails(("ann", "bob"), 10_000)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "transcript.json"
        began = time.perf_counter()
        transcript.save(path)
        Transcript.load(path)
        return time.perf_counter() - began


def html() -> float:
    """Seconds to show 1,000 messages as HTML."""
    transcript = with_trails(("ann", "bob"), 1000)
    began = time.perf_counter()
    transcript.to_html()
    return time.perf_counter() - began


async def crowd(conversations: int, turns: int) -> dict[str, float]:
    """Many conversations in one process, all under way at the same time."""
    running, most = 0, 0

    class Busy(Scripted):
        async def generate(self, request: Request) -> AsyncIterator[Delta | Completion]:
            nonlocal running, most
            running += 1
            most = max(most, running)
            await asyncio.sleep(0.01)
            running -= 1
            async for item in super().generate(request):
                yield item
            self.requests.clear()  # what a script remembers is not the harness's

    ring, seats, backend = RoundRobin(speakers=("ann", "bob")), people("ann", "bob"), Busy(reply)
    began, cpu = time.perf_counter(), time.process_time()
    outcomes = await asyncio.gather(
        *(
            converse(ring, seats, backend, rules=Rules(until=Turns(turns), seed_key=(i,)))
            for i in range(conversations)
        )
    )
    seconds = time.perf_counter() - began
    done = sum(len(outcome.transcript) == turns for outcome in outcomes)
    return {
        "seconds": seconds,
        "cpu": time.process_time() - cpu,
        "mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "tasks": len(asyncio.all_tasks()) - 1,
        "at_once": most,
        "done": done,
    }


def crowd_rows() -> list[Row]:
    """10,000 conversations of 10 turns at once, in a child process whose memory is theirs alone."""
    code = "import asyncio, json, text_column; print(json.dumps(asyncio.run(text_column.crowd(10_000, 10))))"
    got = json.loads(child(f"import sys; sys.path.insert(0, {str(ROOT / 'benchmarks')!r}); {code}"))
    what = "10,000 conversations x 10 turns x 192 characters"
    whole = got["done"] == got["at_once"] == 10_000
    return [
        at_most(
            f"{what}: time",
            got["seconds"],
            30,
            "s",
            f"{got['cpu']:.1f} s of CPU; {got['at_once']:g} generations at once",
        ),
        at_most(f"{what}: memory", got["mb"], 500, "MB"),
        Row(
            f"{what}: tasks left",
            got["tasks"],
            "",
            "0",
            got["tasks"] == 0 and whole,
            f"{got['done']:g} finished",
        ),
    ]


def hosted_rows() -> list[Row]:
    """The bars of hosted models, measured by `hosted.py` in a process of its own: it imports an SDK."""
    script = ROOT / "benchmarks" / "hosted.py"
    run = subprocess.run([sys.executable, str(script), "--json"], capture_output=True, text=True, check=False)
    if not run.stdout:
        return [Row("hosted models", None, "", "-", None, run.stderr.strip().splitlines()[-1])]
    return [Row(**row) for row in json.loads(run.stdout)["rows"] if row["bar"] != "-"]


def rows() -> list[Row]:
    """Every row, in the specification's order."""
    return [
        import_time(),
        light_import(),
        at_most("harness CPU a turn: two parties, 20 turns", best(30, two_parties), 0.2, "ms"),
        at_most("harness CPU a turn: 200 messages, five parties, trails", best(5, five_parties), 1.0, "ms"),
        *crowd_rows(),
        *hosted_rows(),
        *parser_rows(),
        at_most("save and load 10,000 messages", best(3, save_and_load), 0.3, "s"),
        at_most("HTML of 1,000 messages", best(3, html), 0.1, "s"),
    ]


def machine() -> str:
    """Where this was measured."""
    return f"{platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}"


def told(description: str | None, measure: Callable[[], list[Row]], where: str) -> int:
    """Reads the flags, measures, prints the table; 1 if a bar is missed."""
    options = argparse.ArgumentParser(description=description)
    options.add_argument("--json", action="store_true", help="print the rows as JSON")
    chosen = options.parse_args()
    gc.collect()
    measured = measure()
    if chosen.json:
        print(json.dumps({"machine": machine(), "rows": [asdict(row) for row in measured]}, indent=2))
    else:
        table = [("what", "measured", "bar", "verdict", "note"), *(row.cells() for row in measured)]
        widths = [max(len(line[i]) for line in table) for i in range(5)]
        for line in table:
            print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
        print(f"\n{where}")
    return 1 if any(row.passed is False for row in measured) else 0


def main() -> int:
    """Prints the table; 1 if a bar is missed."""
    return told(__doc__, rows, machine())


if __name__ == "__main__":
    raise SystemExit(main())
