"""`python benchmarks/ledger.py`: what holding and settling a request's budget costs, on each ledger there is.

CPU of our process for one reserve and one settle of a request with two charges (tokens and requests of one pool), hard
limits on, nothing near them. PostgreSQL and Redis are asked on loopback, in a namespace of their own that is removed;
their own CPU is not ours and stands in a row of its own where they tell it. `--linearizability` checks instead that
what several processes see of a ledger could have happened in one order: it is `python -m tools.contention`.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import rows

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT)]

from symposia.core.clock import SystemClock  # noqa: E402
from symposia.serve.budget import CostPolicy, Limits, Route, Rule, charges, enforce  # noqa: E402
from symposia.serve.ledger import Held, Ledger  # noqa: E402
from symposia.serve.ledger.opened import opened  # noqa: E402
from tests.serve.ledger.places import REDIS, absent, address  # noqa: E402

BARS_US = {"memory": 15.0, "sqlite": 150.0, "redis": 300.0, "postgres": None}
REQUESTS = {"memory": 20_000, "sqlite": 2_000, "redis": 2_000, "postgres": 300}
POLICY = CostPolicy(default=Rule(limits=Limits(max_tokens=10**12, max_requests=10**9)))
WANTED = charges(POLICY, Route(model="tiny"), 500)

Work = Callable[[Ledger, int], Awaitable[None]]


async def reserve_and_settle(ledger: Ledger, number: int) -> None:
    """What the bar is about."""
    answer = await ledger.reserve(f"lease_{number}", WANTED, ttl_s=660)
    assert isinstance(answer, Held)
    await ledger.settle(answer.lease, tokens=300, requests=1)


async def enforce_and_settle(ledger: Ledger, _number: int) -> None:
    """With the policy's part: resolution, decision."""
    decision = await enforce(policy=POLICY, ledger=ledger, model="tiny", profile="none", key="k", tokens=500)
    assert decision.lease is not None
    await ledger.settle(decision.lease, tokens=300, requests=1)


async def cost_us(ledger: Ledger, work: Work, requests: int, repeats: int, tasks: int = 1) -> float:
    """CPU of this process for one request, the least of the repeats; `tasks` ask at the same time."""

    async def some(first: int) -> None:
        for number in range(first, first + requests // tasks):
            await work(ledger, number)

    least = float("inf")
    for repeat in range(-1, repeats):  # the first warms up
        began = time.process_time()
        starts = (requests * (repeat * tasks + task) // tasks + 2 * requests for task in range(tasks))
        await asyncio.gather(*(some(start) for start in starts))
        if repeat >= 0:
            least = min(least, (time.process_time() - began) / (requests // tasks * tasks))
    return least * 1e6


async def of(kind: str, url: str, namespace: str, *, quick: bool, repeats: int) -> list[rows.Row]:
    """The rows of one ledger."""
    requests = REQUESTS[kind] // (4 if quick else 1)
    ledger = opened(url, clock=SystemClock(), namespace=namespace)
    try:
        what, bar = f"budget reserve + settle, {kind}", BARS_US[kind]
        one = await cost_us(ledger, reserve_and_settle, requests, repeats)
        found = [_row(what, one, bar)]
        if kind == "memory":
            found.append(
                _row(
                    "budget enforce + settle, memory",
                    await cost_us(ledger, enforce_and_settle, requests, repeats),
                )
            )
        if kind in ("redis", "postgres"):
            found.append(
                _row(f"{what}, 16 at once", await cost_us(ledger, reserve_and_settle, requests, repeats, 16))
            )
        if kind == "redis":
            before = _redis_cpu_us()
            for number in range(requests):
                await reserve_and_settle(ledger, -1 - number)
            found.append(_row(f"{what}, the server's share", (_redis_cpu_us() - before) / requests))
        return found
    finally:
        await ledger.aclose()


def _row(what: str, cost: float, bar: float | None = None) -> rows.Row:
    return rows.Row(what, "bar", cost, None, "µs CPU", cost, "µs", bar, most=True)


def _redis_cpu_us() -> float:
    import redis

    with redis.Redis.from_url(REDIS) as client:
        told = client.info("cpu")
    return 1e6 * (told["used_cpu_user"] + told["used_cpu_sys"])


def main() -> int:
    parser = rows.parser(__doc__, tuple(BARS_US))
    parser.add_argument("--linearizability", action="store_true", help="python -m tools.contention instead")
    asked = parser.parse_args()
    if asked.linearizability:
        paths = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
        command = [sys.executable, "-m", "tools.contention", "--ledgers", *asked.only]
        return subprocess.run(
            command, cwd=ROOT, env={**os.environ, "PYTHONPATH": paths}, check=False
        ).returncode
    found: list[rows.Row] = []
    for kind in asked.only:
        rows.progress(kind)
        if reason := absent(kind):
            found.append(rows.not_measured(f"budget reserve + settle, {kind}", "bar", BARS_US[kind], reason))
            continue
        with address(kind) as (url, namespace):
            repeats = asked.repeats or (2 if asked.quick else 5)
            found += asyncio.run(of(kind, url, namespace, quick=asked.quick, repeats=repeats))
    return rows.report(found, as_json=asked.json)


if __name__ == "__main__":
    raise SystemExit(main())
