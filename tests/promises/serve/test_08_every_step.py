"""Promise 8: one `request_served` and, if something was reserved, one settlement, wherever a request breaks.

Not at chosen places: at every call that a request makes, one after the other, an exception nobody foresaw is raised.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections import Counter
from pathlib import Path
from types import CodeType, FrameType
from typing import Self

import pytest

import symposia
from symposia.core.clock import SystemClock
from symposia.core.served import BudgetDecision, BudgetSettled, RequestServed
from symposia.serve import ledger
from symposia.serve.app import App
from symposia.serve.budget import CostPolicy, Limits, Rule
from symposia.serve.generation import Generation
from symposia.serve.journal import Journal
from symposia.serve.ledger.memory import MemoryLedger
from symposia.serve.pipeline import Exchange
from symposia.serve.server import Kit, Server
from symposia.serve.settings import Model, Settings
from symposia.serve.snapshot import Snapshot
from symposia.store import opened
from tests.serving import scripted

PLENTY = CostPolicy(default=Rule(limits=Limits(max_tokens=1_000_000, max_requests=10_000)))
BODY = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 64}

WITHIN = frozenset({Exchange.run.__code__, Generation._drive.__code__})
"""What a request does."""
BEYOND = frozenset({Exchange._close.__code__, Journal.emit.__code__})
"""What keeps the promise, and what may not raise by its own."""
OURS, LEDGER = (str(Path(module.__file__).parent) for module in (symposia, ledger))
ENTRIES = frozenset({MemoryLedger.reserve.__code__})
"""Of the ledger only the way in: what breaks inside of it is a lease that runs out, which has tests of its own."""


class Boom(Exception):
    """Nobody foresaw it."""


class Trap:
    """Within it, the `at`-th call of a request raises; `calls` are those it made."""

    def __init__(self, at: int | None = None) -> None:
        self.at, self.calls = at, 0
        self.sprung: CodeType | None = None

    def __enter__(self) -> Self:
        sys.settrace(self._see)
        return self

    def __exit__(self, *exc: object) -> None:
        sys.settrace(None)

    def _see(self, frame: FrameType, event: str, arg: object) -> None:
        del arg
        code = frame.f_code
        if event != "call" or frame.f_lasti > 0 or not _counts(code) or not _of_a_request(frame.f_back):
            return
        if self.calls == self.at:
            self.sprung = code
            self.calls += 1
            raise Boom(code.co_qualname)
        self.calls += 1


def _counts(code: CodeType) -> bool:
    where = code.co_filename
    return where.startswith(OURS) and (not where.startswith(LEDGER) or code in ENTRIES)


def _of_a_request(frame: FrameType | None) -> bool:
    within = False
    while frame is not None and not within:
        if frame.f_code in BEYOND:
            return False
        within = frame.f_code in WITHIN
        frame = frame.f_back
    return within


class Caller:
    """ASGI from outside: one request, and what it was sent."""

    def __init__(self, body: dict[str, object]) -> None:
        self._raw, self._asked = json.dumps(body).encode(), False
        self.sent: list[dict] = []

    async def receive(self) -> dict:
        if self._asked:
            await asyncio.Event().wait()
        self._asked = True
        return {"type": "http.request", "body": self._raw, "more_body": False}

    async def send(self, message: dict) -> None:
        self.sent.append(message)

    @property
    def scope(self) -> dict:
        headers = [(b"content-type", b"application/json"), (b"host", b"127.0.0.1")]
        return {
            "type": "http",
            "method": "POST",
            "path": "/v1/chat/completions",
            "query_string": b"",
            "headers": headers,
        }


@pytest.mark.parametrize("stream", [False, True])
async def test_wherever_a_request_breaks_it_is_told_of_once_and_holds_nothing(stream: bool) -> None:
    clock = SystemClock()
    events: list[object] = []
    with opened("memory", clock=clock) as storage:
        kit = Kit(
            backends={"m": scripted()},
            storage=storage,
            ledger=MemoryLedger(clock),
            clock=clock,
            random=os.urandom,
            listeners=(lambda _, event: events.append(event),),
        )
        server = Server(Settings(models=(Model(name="m", address="scripted:m"),), insecure_dev=True), kit)
        app = App(server)
        await server.start()
        server.follower.stop()
        server.see(Snapshot(policy=PLENTY))
        try:
            body = {**BODY, "stream": stream}
            await app(Caller(body).scope, (first := Caller(body)).receive, first.send)  # what is made once
            with Trap() as trap:
                await app((caller := Caller(body)).scope, caller.receive, caller.send)
            assert trap.calls > 50
            broken = Counter()
            for at in range(trap.calls):
                events.clear()
                caller = Caller(body)
                with (
                    Trap(at) as sprung,
                    contextlib.suppress(Boom),
                ):  # it gets out where the failure itself is told
                    await app(caller.scope, caller.receive, caller.send)
                where = sprung.sprung and sprung.sprung.co_qualname
                served = [event for event in events if isinstance(event, RequestServed)]
                assert len(served) == 1, where
                settled = [event.lease for event in events if isinstance(event, BudgetSettled)]
                decided = [event.lease for event in events if isinstance(event, BudgetDecision)]
                assert len(settled) <= 1, where
                assert set(decided) <= set(settled), where
                assert all(standing.reserved == 0 for standing in await server.ledger.standings()), where
                assert (server.in_flight, server.exchanges, len(server.watch)) == (0, 0, 0), where
                broken[served[0].outcome] += 1
                whole = bool(caller.sent) and not caller.sent[-1].get("more_body", True)
                if served[0].outcome == "ok":
                    assert whole, where
            assert broken["error"] > 50
        finally:
            await server.stop()
