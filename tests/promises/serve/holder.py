"""A process that reserves budget and is killed: `python holder.py URL NAMESPACE TTL once|forever`.

It prints the event of everything it does; `forever` settles and reserves without end.
"""

from __future__ import annotations

import asyncio
import sys

from symposia.core.clock import SystemClock
from symposia.core.served import BudgetDecision, BudgetSettled
from symposia.core.value import canonical
from symposia.serve.budget import CostPolicy, Limits, Route, Rule, decided, settled
from symposia.serve.budget.hold import Ask, hold
from symposia.serve.ledger.opened import opened

POLICY = CostPolicy(default=Rule(limits=Limits(max_tokens=10_000, max_requests=1_000, window_s=60)))
TOKENS = 100


def say(event: BudgetDecision | BudgetSettled) -> None:
    sys.stdout.buffer.write(canonical(event) + b"\n")
    sys.stdout.buffer.flush()


async def main(url: str, namespace: str, ttl: str, mode: str) -> None:
    ledger = opened(url, clock=SystemClock(), namespace=namespace)
    while True:
        decision = await hold(POLICY, ledger, Route(model="tiny"), ask=Ask(prompt=TOKENS), ttl_s=float(ttl))
        say(decided(decision, "r", 1))
        if mode == "once":
            await asyncio.Event().wait()
        assert decision.lease is not None
        answer = await ledger.settle(decision.lease, tokens=1, requests=1)
        say(settled(answer, decision.lease))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
