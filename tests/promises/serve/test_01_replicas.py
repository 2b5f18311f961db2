"""Promise 1 through HTTP: replicas of `symposia serve` that share a budget never admit above it, whoever asks whom."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx2
import pytest

from tests.processes import serving
from tests.store.places import schema

REQUESTS, LIMIT, EACH = 120, 3_000, 40
REDIS = "redis://127.0.0.1:6379/5"
POLICY = "default = {{max_tokens = {limit}, window_s = 3600}}\n"


@pytest.fixture(params=["postgres", "redis"])
def replicas(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, list[str]]]:
    """Two processes on one PostgreSQL store and one shared ledger; the name of their model is this test's own."""
    if request.param == "redis":
        redis = pytest.importorskip("redis")
        try:
            redis.Redis.from_url(REDIS, socket_connect_timeout=2).ping()
        except redis.ConnectionError:
            pytest.skip(f"needs Redis at {REDIS}")
    name, policy = f"m{secrets.token_hex(4)}", tmp_path / "budget.toml"
    policy.write_text(POLICY.format(limit=LIMIT))
    with schema() as store, ExitStack() as stack:
        ledger = REDIS if request.param == "redis" else store
        asked = ["--insecure-dev", "--store", store, "--ledger", ledger, "--budget", str(policy)]
        asked += ["--model", f"{name}=scripted:words"]
        both = [stack.enter_context(serving(tmp_path, *asked)) for _ in range(2)]
        yield name, [f"http://127.0.0.1:{one.port}" for one in both]


async def _asked(roots: list[str], model: str) -> list[httpx2.Response]:
    """Everything at once, each at the other replica in turn."""
    limits = httpx2.Limits(max_connections=60)
    async with httpx2.AsyncClient(timeout=60, limits=limits) as client:

        async def ask(number: int) -> httpx2.Response:
            body = {"model": model, "messages": [{"role": "user", "content": "hi"}], "max_tokens": EACH}
            root = roots[number % len(roots)]
            return await client.post(f"{root}/v1/chat/completions", json={**body, "stream": number % 3 == 0})

        return list(await asyncio.gather(*map(ask, range(REQUESTS))))


async def _standing(root: str, model: str) -> dict[str, int]:
    """The pool of tokens once the last answers are settled, which is just after they were sent."""
    async with httpx2.AsyncClient(timeout=30) as client, asyncio.timeout(30):
        while True:
            usage = (await client.get(f"{root}/admin/v1/budget/usage")).json()["pools"]
            (pool,) = [pool for pool in usage if model in pool["pool"] and pool["field"] == "tokens"]
            if pool["reserved"] == 0:
                return {name: pool[name] for name in ("used", "reserved", "limit")}


@pytest.mark.services
@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_replicas_under_load_stay_within_one_budget(replicas: tuple[str, list[str]]) -> None:
    """What was used never passes the limit, refusals are exact, nothing stays reserved, and both say the same."""
    model, roots = replicas
    answers = await _asked(roots, model)
    statuses = [answer.status_code for answer in answers]
    assert set(statuses) == {200, 429}, statuses
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert refused.json()["error"]["code"] == "steering_budget_exceeded"
    assert int(refused.headers["retry-after"]) > 0
    first, second = [await _standing(root, model) for root in roots]
    assert first == second
    assert 0 < first["used"] <= first["limit"] == LIMIT
    bills = [answer.json().get("usage") for answer in answers if "json" in answer.headers["content-type"]]
    assert 0 < sum(bill["total_tokens"] for bill in bills if bill) <= first["used"]
