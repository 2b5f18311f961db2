"""A process that is killed in the middle of a run: `python killed.py`, orders on stdin, reports on stdout.

An order is `KIND FOLDER SEED KILL_AFTER`; KIND is "rounds", a conversation in simultaneous rounds, or "debate". A fork
goes on with the run in FOLDER and says which request it asks for before each is answered; this process kills it, in the
middle of whatever it does, after KILL_AFTER of them and up to 8 ms. Odd seeds have a slow disk, so that most of their
time lies between a completion and its delivery. KILL_AFTER 0 lets it end. Then this process reports what was asked,
`done DIGEST` if the run came to its end, and `killed`.
"""

from __future__ import annotations

import asyncio
import os
import random
import select
import signal
import sys
import time
import warnings
from collections.abc import AsyncIterator
from pathlib import Path

from symposia.backends import Journal, JournalCut, Journalled, Scripted
from symposia.core.profile import Profile
from symposia.core.request import Item, Request
from symposia.core.transcript import Transcript
from symposia.talk.converse import converse
from symposia.talk.debate import Debate
from symposia.talk.debate.hold import hold
from symposia.talk.debate.teams import team
from symposia.talk.protocols import Rounds
from tests.company import babble, party

NAMES = ("ann", "bob", "carla")
FORCE = frozenset({"force"})


class Telling(Scripted):
    """Says what it is asked, and takes its time over it."""

    def __init__(self, out: int, seed: int) -> None:
        super().__init__(lambda r: babble(r) if r.speaker in NAMES else argued(r), features=FORCE)
        self._out, self._dice = out, random.Random(seed)

    async def generate(self, request: Request) -> AsyncIterator[Item]:
        os.write(self._out, f"asked {request.digest}\n".encode())
        await asyncio.sleep(self._dice.uniform(0, 0.004))
        async for item in super().generate(request):
            yield item


def slow_disk() -> None:
    """Every sync of this process takes 4 ms more."""
    sync = os.fdatasync

    def slow(file: int) -> None:
        time.sleep(0.004)
        sync(file)

    os.fdatasync = slow


def argued(request: Request) -> dict[str, object] | str:
    """Seats that never agree, and a captain that says so."""
    if request.force is None:
        return f"{babble(request)}\n[[ANSWER]] {request.seed % 1000}"
    if request.force.name == "conclude":
        return {"consensus": False, "direction": babble(request)}
    return {"choice": request.force.parameters["properties"]["choice"]["enum"][0]}


async def held(kind: str, backend: Journalled) -> Transcript:
    """The run, from its beginning."""
    if kind == "rounds":
        done = await converse(Rounds(speakers=NAMES, rounds=60), party(*NAMES), backend)
        return done.transcript
    profile = Profile(model="m")
    debate = Debate(team=team("B"), captain=profile, profile=profile, max_rounds=25)
    return (await hold("How long does it take?", debate, backend)).transcript


def go_on(kind: str, folder: Path, seed: int, out: int) -> None:
    """To the end of the run, or until killed."""
    warnings.simplefilter("ignore", JournalCut)
    if seed % 2:
        slow_disk()
    with Journal.open(folder) as journal:
        transcript = asyncio.run(held(kind, Journalled(Telling(out, seed), journal)))
    os.write(out, f"done {transcript.digest}\n".encode())


def main() -> None:
    for order in sys.stdin:
        kind, folder, seed, after = order.split()
        read, out = os.pipe()
        child = os.fork()
        if not child:
            go_on(kind, Path(folder), int(seed), out)
            os._exit(0)
        os.close(out)
        got = b""
        while (not int(after) or got.count(b"\n") < int(after)) and (piece := os.read(read, 65536)):
            got += piece
        if int(after):
            time.sleep(random.Random(int(seed)).uniform(0, 0.008))
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        while select.select([read], [], [], 0)[0] and (piece := os.read(read, 65536)):
            got += piece
        os.close(read)
        sys.stdout.write(got[: got.rfind(b"\n") + 1].decode() + "killed\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
