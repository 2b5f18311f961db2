"""What other processes do to a store: `python -m tests.store.processes JOB URL …`, one line of output a step."""

from __future__ import annotations

import subprocess
import sys

from symposia.core.clock import SystemClock
from symposia.core.profile import Profile
from symposia.core.served import Draining
from symposia.core.store import Conflict, Entry
from symposia.store import Storage, opened
from symposia.store.refusals import AliasConflict
from tests.cli.process import ROOT, environment

MODEL = "m"


def started(job: str, *arguments: object) -> subprocess.Popen[str]:
    """A process doing a job; it says `ready` and waits for a line before it begins."""
    command = [sys.executable, "-m", "tests.store.processes", job, *map(str, arguments)]
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=environment(PYTHONPATH=f"{ROOT / 'src'}:{ROOT}"),
    )


def entry(stream: str, n: int) -> Entry:
    return Entry(event=Draining(on=True, actor=stream, reason=str(n)), stream=stream, time=float(n))


def mover(storage: Storage, name: str, rounds: str) -> None:
    """Each round: move the alias from where everybody saw it; say who won."""
    for n in range(int(rounds)):
        own = storage.profiles.put(Profile(model=MODEL, system=f"{name} {n}"), actor=name)
        say("ready")
        expect = listen() or None
        try:
            seq = storage.profiles.move(MODEL, "champion", own, expect=expect, actor=name, reason=str(n))
            say(f"won {own} {seq}")
        except AliasConflict as conflict:
            say(f"lost {conflict.current}")


def appender(storage: Storage, name: str) -> None:
    """Append for ever; each line says an event is kept."""
    say("ready")
    listen()
    n = 0
    while True:
        n += 1
        storage.events.append(entry(name, n))
        say(str(n))


def racer(storage: Storage, name: str, goal: str) -> None:
    """Append to a shared stream with `expect` until it is long enough; say which positions were won."""
    say("ready")
    listen()
    while (length := storage.events.length("race")) < int(goal):
        try:
            say(str(storage.events.append(entry("race", length), expect=length).position))
        except Conflict:
            continue


def opener(storage: Storage) -> None:
    """It was opened, and that was all."""
    say(f"open {storage.name}")


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def listen() -> str:
    return sys.stdin.readline().strip()


if __name__ == "__main__":
    job, url, *rest = sys.argv[1:]
    with opened(url, clock=SystemClock()) as shared:
        globals()[job](shared, *rest)
