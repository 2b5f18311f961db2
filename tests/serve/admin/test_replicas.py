"""Two servers on one store: what is changed at one holds at the other."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from symposia.core.clock import SystemClock
from symposia.core.profile import Profile
from symposia.core.request import Backend, Delta, Item, ModelCard, Prompt, Request
from symposia.core.served import BudgetDecision, BudgetWarning
from symposia.core.value import decode
from symposia.serve.ledger.opened import opened as open_ledger
from symposia.store import opened
from tests.serve.admin.office import HELLO, STEERED, scripted
from tests.serving import Serving, until
from tests.store.places import POSTGRES, place

BASELINE = {"x-steering-arm": "baseline", "x-steering-applied": "false"}


class Pair:
    """Two servers, each with its own connection to the store; `ask` the first, or the one numbered."""

    def __init__(self, servers: list[Serving]) -> None:
        self.servers = servers
        self.client = httpx2.Client(timeout=30)

    def ask(
        self, method: str, path: str, body: object = None, *, at: int = 0, **query: Any
    ) -> httpx2.Response:
        """Ask the admin API."""
        url = f"{self.servers[at].root}/admin/v1{path}"
        return self.client.request(method, url, json=body, params=query or None)

    def chat(self, at: int, **more: object) -> httpx2.Response:
        """Ask the model."""
        return self.client.post(f"{self.servers[at].url}/chat/completions", json=HELLO | more)


class Endless:
    """A model that says one word and then nothing, until whoever listens has left."""

    async def describe(self, model: str) -> ModelCard:
        return await scripted().describe(model)

    async def render(self, request: Request) -> Prompt:
        return await scripted().render(request)

    async def generate(self, request: Request) -> AsyncIterator[Item]:
        yield Delta(text="so")
        await asyncio.Event().wait()


@contextmanager
def pair(url: str, ledger: str = "memory", backend: Callable[[], Backend] = scripted) -> Iterator[Pair]:
    """Two servers that live within; each opens the ledger for itself."""
    with ExitStack() as stack:
        servers = []
        for _ in range(2):
            storage = stack.enter_context(opened(url, clock=SystemClock()))
            serving = Serving(
                {"tiny": backend()},
                storage=storage,
                ledger=open_ledger(ledger, clock=SystemClock()),
                addresses={"tiny": "script:tiny"},
            )
            servers.append(stack.enter_context(serving))
        both = Pair(servers)
        stack.callback(both.client.close)
        yield both


@pytest.fixture(params=["sqlite", POSTGRES])
def both(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Pair]:
    with place(request.param, tmp_path) as url, pair(url) as made:
        yield made


def test_the_kill_switch_reaches_the_other_replica(both: Pair) -> None:
    """Profile and alias made at one answer at the other; killed at one, the other serves the baseline, and again."""
    digest = both.ask("POST", "/profiles", STEERED).json()["digest"]
    both.ask("PUT", "/aliases/tiny/warm", {"to": digest, "expect": None, "reason": "x"})
    until(lambda: both.chat(1, model="tiny@warm").headers.get("x-steering-applied") == "true")
    both.ask("POST", "/kill", {"on": True, "reason": "drill"})
    assert BASELINE.items() <= both.chat(0, model="tiny@warm").headers.items()
    until(lambda: both.servers[1].server.view.killed)
    killed = both.chat(1, model="tiny@warm")
    assert BASELINE.items() <= killed.headers.items()
    assert killed.json()["steering"]["reason"] == "kill_switch"
    assert killed.json()["choices"][0]["message"]["content"] == "said 0"
    both.ask("POST", "/kill", {"on": False, "reason": "over"}, at=1)
    assert both.chat(1, model="tiny@warm").headers["x-steering-applied"] == "true"
    until(lambda: not both.servers[0].server.view.killed)


def test_one_policy_holds_at_both(both: Pair) -> None:
    """Put at one, it refuses at the other; a revision read before it is stale there."""
    headers = {"if-match": '"0"'}
    policy = {"default": {"max_requests": 0}}
    url = f"{both.servers[0].root}/admin/v1/budget"
    assert both.client.put(url, json=policy, headers=headers, params={"reason": "x"}).status_code == 200
    until(lambda: both.chat(1).status_code == 429)
    url = f"{both.servers[1].root}/admin/v1/budget"
    assert both.client.put(url, json=policy, headers=headers, params={"reason": "x"}).status_code == 412
    both.ask("POST", "/budget/hard-limits", {"enabled": False, "reason": "x"}, at=1)
    until(lambda: both.chat(0).status_code == 200)


def test_a_key_made_at_one_is_revoked_at_the_other(both: Pair) -> None:
    """Both know it within a moment, and both forget it."""
    made = both.ask("POST", "/keys", {"name": "app", "scopes": ["inference"]}).json()["key"]["id"]
    other = both.servers[1].server
    until(lambda: made in other.view.callers)
    both.ask("DELETE", f"/keys/{made}", at=1)
    until(lambda: both.servers[0].server.view.callers[made].revoked is not None)


@pytest.mark.parametrize("hard", [True, False])
def test_a_soft_line_is_told_of_once_over_both(tmp_path: Path, hard: bool) -> None:
    """Requests at two servers on one ledger: one warning a crossing; emptied, the pool warns once more.

    Without hard limits all are let through, and each above the limit is an event that says so.
    """
    with pair(str(tmp_path / "s.db"), f"sqlite:{tmp_path / 'l.db'}") as both:
        policy = {"default": {"max_requests": 10, "soft_fraction": 0.5}, "hard_limits": hard}
        url = f"{both.servers[0].root}/admin/v1/budget"
        both.client.put(url, json=policy, headers={"if-match": '"0"'}, params={"reason": "x"})
        until(lambda: both.servers[1].server.view.revision == 1)
        statuses = [both.chat(n % 2).status_code for n in range(14)]
        assert statuses == [200] * 10 + [429 if hard else 200] * 4
        events = [event for serving in both.servers for event in serving.events]
        assert len([event for event in events if isinstance(event, BudgetWarning)]) == 1
        decisions = [event.decision for event in events if isinstance(event, BudgetDecision)]
        assert decisions.count("blocked" if hard else "would_block") == 4
        [pool] = {one["pool"] for one in both.ask("GET", "/budget/usage").json()["pools"]}
        both.ask("POST", "/budget/reset", {"pool": pool, "reason": "x"}, at=1)
        assert [both.chat(n % 2).status_code for n in range(6)] == [200] * 6
        warnings = [e for serving in both.servers for e in serving.events if isinstance(e, BudgetWarning)]
        assert len(warnings) == 2


def test_steered_streams_are_cut_at_both_and_plain_ones_go_on(tmp_path: Path) -> None:
    """`cut` ends what is steered with an error and no `[DONE]`, also at the other server; what is not, stays."""
    with pair(str(tmp_path / "s.db"), backend=Endless) as both, ExitStack() as open_streams:
        profile = decode(json.dumps(STEERED), Profile)
        digest = both.servers[0].storage.profiles.put(profile, actor="test")
        models = [(at, name) for at in (0, 1) for name in ("tiny", f"tiny@{digest}")]
        until(lambda: all(digest in serving.server.view.profiles for serving in both.servers))
        lines: dict[tuple[int, str], Iterator[str]] = {}
        for at, name in models:
            url = f"{both.servers[at].url}/chat/completions"
            stream = both.client.stream("POST", url, json=HELLO | {"model": name, "stream": True})
            lines[at, name] = open_streams.enter_context(stream).iter_lines()
            assert '"so"' in next(lines[at, name])
        both.ask("POST", "/kill", {"on": True, "cut": True, "reason": "drill"})
        for at in (0, 1):
            rest = [line for line in lines[at, f"tiny@{digest}"] if line.startswith("data:")]
            assert "steering_disabled" in rest[-1]
            assert "[DONE]" not in "".join(rest)
        under_way = [len(list(serving.server.watch.under_way)) for serving in both.servers]
        assert under_way == [1, 1]


def test_a_drain_gives_running_requests_their_time(tmp_path: Path) -> None:
    """As a signal would, without the exit: what runs after `drain_s` ends with an error; then all is as before."""
    with pair(str(tmp_path / "s.db"), backend=Endless) as both:
        url = f"{both.servers[0].url}/chat/completions"
        with both.client.stream("POST", url, json=HELLO | {"stream": True}) as stream:
            lines = stream.iter_lines()
            assert '"so"' in next(lines)
            both.ask("POST", "/drain", {"reason": "upgrade"})
            assert both.chat(0).status_code == 503
            rest = [line for line in lines if line.startswith("data:")]
        assert "server_is_overloaded" in rest[-1]
        assert "[DONE]" not in "".join(rest)
        both.ask("POST", "/drain", {"on": False, "reason": "done"})
        assert both.client.get(f"{both.servers[0].root}/readyz").status_code == 200
