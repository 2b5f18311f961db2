"""Several server processes on one store: of those who move an alias at once one wins; the switch reaches all."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import httpx2
import pytest

from symposia.core.clock import SystemClock
from symposia.store import opened
from tests.serve.admin.office import ADD, HELLO
from tests.serve.admin.processes import servers
from tests.serving import until
from tests.store.places import POSTGRES, place

ADDRESS = "scripted:script.py:reply"
ROUNDS = 15


async def race(roots: list[str], profiles: list[str]) -> list[Counter[int]]:
    """Two clients at each server move the same alias from the same place, round after round; who got which status."""
    current, rounds = None, []
    async with httpx2.AsyncClient(timeout=60) as client:
        for number in range(ROUNDS):
            to = profiles[number % 2]
            body = {"to": to, "expect": current, "reason": f"round {number}"}
            calls = [
                client.put(f"{root}/admin/v1/aliases/tiny/raced", json=body)
                for root in roots
                for _ in range(2)
            ]
            answers = await asyncio.gather(*calls)
            rounds.append(Counter(answer.status_code for answer in answers))
            for answer in answers:
                if answer.status_code == 409:
                    assert answer.json()["error"]["current"] == to
            current = to
    return rounds


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sqlite", POSTGRES])
def test_one_of_those_who_move_an_alias_at_once_wins(kind: str, tmp_path: Path) -> None:
    """Four moves with equal `expect` over two processes: one 200, three 409 with where it is; the history is whole."""
    with place(kind, tmp_path) as url:
        with servers(url, tmp_path) as roots:
            profiles = [_put(roots[0], {"system": name}) for name in ("a", "b")]
            rounds = asyncio.run(race(roots, profiles))
            assert rounds == [Counter({200: 1, 409: 3})] * ROUNDS
        with opened(url, clock=SystemClock()) as storage:
            moves = storage.profiles.history(ADDRESS, "raced")
            assert [move.after for move in moves] == [profiles[i % 2] for i in range(ROUNDS)]
            assert [move.before for move in moves[1:]] == [move.after for move in moves[:-1]]
            assert storage.verify().flaws == ()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sqlite", POSTGRES])
def test_the_switch_reaches_another_process(kind: str, tmp_path: Path) -> None:
    """After the switch no reply of the first server is steered; the second follows; both come back."""
    with place(kind, tmp_path) as url, servers(url, tmp_path) as roots:
        digest = _put(roots[0], {"interventions": [ADD]})
        arms = [lambda root=root: _arm(root, digest) for root in roots]
        until(lambda: arms[1]() == "pinned")
        httpx2.post(f"{roots[0]}/admin/v1/kill", json={"on": True, "reason": "drill"}).raise_for_status()
        assert arms[0]() == "baseline"
        until(lambda: arms[1]() == "baseline")
        httpx2.post(f"{roots[1]}/admin/v1/kill", json={"on": False, "reason": "over"}).raise_for_status()
        assert arms[1]() == "pinned"
        until(lambda: arms[0]() == "pinned")


def _put(root: str, profile: dict[str, Any]) -> str:
    made = httpx2.post(f"{root}/admin/v1/profiles", json={"model": ADDRESS, **profile})
    digest: str = made.raise_for_status().json()["digest"]
    return digest


def _arm(root: str, digest: str) -> str:
    answer = httpx2.post(f"{root}/v1/chat/completions", json=HELLO | {"model": f"tiny@{digest}"})
    return answer.headers.get("x-steering-arm", answer.text)
