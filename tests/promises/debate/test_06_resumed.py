"""Promise 6 for a debate: stopped after any completion, mid-round too, it goes on with what is missing and no more."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from symposia.backends import Journal, Journalled, Scripted
from symposia.core.request import Request
from symposia.talk.debate.hold import hold
from symposia.talk.debate.stored import StoredDebate
from tests.debates import ALL, Wild, debate_of


class Dying(Scripted):
    """Ends with everything around it when it has answered `left` requests."""

    def __init__(self, seed: int, left: int) -> None:
        super().__init__(Wild(seed, failing=0.0), features=ALL)
        self.left = left

    async def generate(self, request: Request):
        if not self.left:
            raise asyncio.CancelledError
        self.left -= 1
        async for item in super().generate(request):
            yield item


def go_on(folder: Path, seed: int, left: int) -> tuple[list[str], str | None]:
    """What was asked of the model, and the digest of the transcript if the debate came to its end."""
    debate = debate_of(4, beliefs=True, max_rounds=2)
    backend = Dying(seed, left)
    rules = StoredDebate(question="?", debate=debate).rules
    digest = None
    with Journal.open(folder) as journal:
        try:
            held = asyncio.run(hold("?", debate, Journalled(backend, journal), rules=rules))
            digest = held.transcript.digest
        except asyncio.CancelledError:
            pass
    return [request.digest for request in backend.requests], digest


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_debate_goes_on_wherever_it_was_stopped(tmp_path: Path, seed: int) -> None:
    """Stopped after every single completion: the same transcript, and each request asked exactly once in all."""
    whole, digest = go_on(tmp_path / "whole", seed, left=10**6)
    for stop in range(1, len(whole)):
        folder = tmp_path / f"stopped-{stop}"
        first, unfinished = go_on(folder, seed, left=stop)
        second, resumed = go_on(folder, seed, left=10**6)
        assert unfinished is None
        assert resumed == digest
        assert sorted(first + second) == sorted(whole)
