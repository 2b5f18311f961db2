"""Several processes, each of several tasks, on one budget ledger: `python -m tools.contention`.

Every call is recorded with when it began and ended. `still`: nothing leaves its window, and the history must be one
that a ledger answering one call at a time could have given. `rolling`: windows are short, reservations are used up, and
no real window may hold more than its limit.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from symposia.core.clock import SystemClock
from symposia.serve.ledger import Charge, Held, Lease, Ledger
from symposia.serve.ledger.opened import opened
from symposia.serve.ledger.window import ticks
from symposia.testing.linearizable import Call, linearized
from tests.serve.ledger.places import absent, address

Mode = Literal["still", "rolling"]
LIMIT = 1000
POOLS = ("a", "b", "c")
WINDOW_S: dict[Mode, float] = {"still": 1e6, "rolling": 0.5}
LEDGERS = ("memory", "sqlite", "postgres", "redis")
State = tuple[tuple[tuple[int, int], ...], frozenset[str]]


class Told(msgspec.Struct, frozen=True):
    """A call and its answer. `held` of a reservation, `again` of a settlement; `after` is (used, reserved) a charge."""

    lease: str
    charges: tuple[tuple[int, int], ...]
    after: tuple[tuple[int, int], ...]
    settled: int | None = None
    held: bool = False
    again: bool = False
    admitted: int = 0


class Seen(msgspec.Struct, frozen=True):
    """What a process writes for its parent."""

    begun: int
    ended: int
    told: Told


class Setup(msgspec.Struct, frozen=True):
    """What a process is told."""

    url: str
    namespace: str
    mode: Mode
    seed: int
    tasks: int
    rounds: int


def step(state: State, told: Told) -> State | None:
    """The pools after a call, if they would have answered so: the ledger in a dozen lines."""
    pools, leases = dict(enumerate(state[0])), state[1]
    if told.settled is None:
        if told.held != all(sum(pools[pool]) + amount <= LIMIT for pool, amount in told.charges):
            return None
        if told.held:
            leases |= {told.lease}
            pools.update({pool: (pools[pool][0], pools[pool][1] + amount) for pool, amount in told.charges})
    elif told.again == (told.lease in leases):
        return None
    elif not told.again:
        leases -= {told.lease}
        for pool, amount in told.charges:
            pools[pool] = (pools[pool][0] + told.settled, pools[pool][1] - amount)
    stand = tuple(pools[pool] for pool, _ in told.charges)
    return (tuple(pools.values()), leases) if stand == told.after else None


def fullest(told: Iterable[Told], window_s: float) -> int:
    """The most that was admitted in any real window, over all pools."""
    most, window = 0, ticks(window_s)
    for pool in range(len(POOLS)):
        found = sorted((t.admitted, a) for t in told if t.held for p, a in t.charges if p == pool)
        oldest, level = 0, 0
        for admitted, amount in found:
            level += amount
            while found[oldest][0] <= admitted - window:
                level -= found[oldest][1]
                oldest += 1
            most = max(most, level)
    return most


async def work(setup: Setup, ledger: Ledger, task: int) -> list[Seen]:
    """One task: reserve, be slow, settle; sometimes settle twice at once."""
    draw, seen = random.Random(f"{setup.seed}/{task}"), []

    async def reserve(name: str, charges: tuple[tuple[int, int], ...]) -> Lease | None:
        begun = time.monotonic_ns()
        answer = await ledger.reserve(name, tuple(_charge(setup.mode, p, a) for p, a in charges), ttl_s=600)
        after = tuple((standing.used, standing.reserved) for standing in answer.standings)
        lease = answer.lease if isinstance(answer, Held) else None
        admitted = ticks(lease.admitted_s) if lease else 0
        told = Told(name, charges, after, held=lease is not None, admitted=admitted)
        seen.append(Seen(begun, time.monotonic_ns(), told))
        return lease

    async def settle(lease: Lease, charges: tuple[tuple[int, int], ...], used: int) -> None:
        begun = time.monotonic_ns()
        answer = await ledger.settle(lease, tokens=used, requests=1)
        after = tuple((each.used, each.reserved) for each in answer.amounts)
        seen.append(
            Seen(begun, time.monotonic_ns(), Told(lease.id, charges, after, used, again=answer.again))
        )

    for number in range(setup.rounds):
        pools = sorted(draw.sample(range(len(POOLS)), draw.choice((1, 1, 2))))
        amount = draw.randint(60, 200)
        charges = tuple((pool, amount) for pool in pools)
        lease = await reserve(f"{setup.seed}.{task}.{number}", charges)
        await asyncio.sleep(draw.uniform(0.0, 0.001 if setup.mode == "still" else WINDOW_S["rolling"] / 5))
        if lease is not None:
            used = amount if setup.mode == "rolling" else draw.choice((0, 0, 1))
            await asyncio.gather(*(settle(lease, charges, used) for _ in range(draw.choice((1, 1, 2)))))
    return seen


async def worker(setup: Setup) -> list[Seen]:
    """A process's share."""
    ledger = opened(setup.url, clock=SystemClock(), namespace=setup.namespace)
    try:
        await ledger.ping()
        print(flush=True)  # ready; all begin together
        await asyncio.to_thread(sys.stdin.readline)
        return [seen for each in await _all(setup, ledger) for seen in each]
    finally:
        await ledger.aclose()


def contend(setup: Setup, processes: int) -> list[Seen]:
    """What all processes saw."""
    root = Path(__file__).parents[1]
    paths = os.pathsep.join([str(root / "src"), str(root)])
    running = []
    for seed in range(processes):
        given = msgspec.json.encode(
            msgspec.structs.replace(setup, seed=setup.seed * processes + seed)
        ).decode()
        command = [sys.executable, "-m", "tools.contention", "--worker", given]
        environment = {**os.environ, "PYTHONPATH": paths}
        running.append(
            subprocess.Popen(
                command, cwd=root, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
        )
    for process in running:
        assert process.stdout is not None
        process.stdout.readline()
    for process in running:
        assert process.stdin is not None
        process.stdin.write(b"\n")
        process.stdin.flush()
    seen: list[Seen] = []
    for process in running:
        out, _ = process.communicate()
        if process.returncode:
            raise SystemExit(f"a process ended with {process.returncode}")
        seen += msgspec.json.decode(out, type=list[Seen])
    return seen


def judged(setup: Setup, seen: Sequence[Seen]) -> tuple[bool, str]:
    """Whether what was seen keeps the promise, and a sentence about it."""
    reservations = [each.told for each in seen if each.told.settled is None]
    held = sum(told.held for told in reservations)
    said = f"{len(seen):,} calls, {held:,} held, {len(reservations) - held:,} refused"
    if setup.mode == "rolling":
        most = fullest(reservations, WINDOW_S["rolling"])
        return most <= LIMIT, f"{said}; fullest real window {most:,} of {LIMIT:,}"
    start: State = (((0, 0),) * len(POOLS), frozenset())
    found = linearized([Call(each.begun, each.ended, each.told) for each in seen], start, step)
    return found is not None, f"{said}; {'linearizable' if found else 'NOT LINEARIZABLE'}"


def main(arguments: Sequence[str]) -> int:
    """Contend on each ledger there is; 1 if one broke its promise."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--ledgers", nargs="+", choices=LEDGERS, default=LEDGERS)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--tasks", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    asked = parser.parse_args(arguments)
    if asked.worker:
        seen = asyncio.run(worker(msgspec.json.decode(asked.worker, type=Setup)))
        sys.stdout.buffer.write(msgspec.json.encode(seen))
        return 0
    kept = True
    for kind in asked.ledgers:
        if reason := absent(kind):
            print(f"{kind}: not run: {reason}")
            continue
        processes = 1 if kind == "memory" else asked.processes
        modes: tuple[Mode, ...] = ("still", "rolling")
        for mode in modes:
            with address(kind) as (url, namespace):
                setup = Setup(url, namespace, mode, seed=1, tasks=asked.tasks, rounds=asked.rounds)
                fine, said = judged(setup, contend(setup, processes))
            kept = kept and fine
            print(f"{kind}, {mode}: {processes} x {asked.tasks} tasks: {said}", flush=True)
    return int(not kept)


async def _all(setup: Setup, ledger: Ledger) -> list[list[Seen]]:
    return await asyncio.gather(*(work(setup, ledger, task) for task in range(setup.tasks)))


def _charge(mode: Mode, pool: int, amount: int) -> Charge:
    return Charge(
        pool=POOLS[pool], field="tokens", amount=amount, limit=LIMIT, window_s=WINDOW_S[mode], buckets=5
    )


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
