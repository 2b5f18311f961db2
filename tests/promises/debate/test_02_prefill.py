"""Promise 2 on the engine: what all seats begin with is computed once, however many they are."""

from __future__ import annotations

import asyncio

import pytest

from symposia.facade import backend_of
from symposia.talk.debate import Debate
from symposia.talk.debate.hold import Held, answering, hold, prepared
from symposia.talk.debate.teams import team

pytestmark = pytest.mark.slow
LONGEST_FRAMING = 40  # tokens of the longest private framing of the short prompts
QUESTION = "A bag holds 3 red and 4 blue balls, and nobody looks. What is 3 plus 4?"


async def _first_round(name: str, seed: int) -> Held:
    backend = backend_of()
    profile = await answering(backend, "symposia:tiny")
    debate = Debate(
        team=team(name),
        captain=None,
        profile=profile,
        stop="fixed:1",
        select="vote",
        seed=seed,
    )
    return await hold(f"{QUESTION} ({seed})", await prepared(debate, backend), backend)


@pytest.mark.parametrize("name", ["A", "B"])
def test_the_seats_of_a_round_share_what_they_all_see(name: str) -> None:
    """Computed prompt tokens of S seats: less than 1.2 times one seat's and the framings of the others."""
    size = len(team(name).seats)
    held = asyncio.run(_first_round(name, seed=size))
    rows = [row for row in held.answer.ledger if row.purpose == "answer"]
    assert len(rows) == size
    computed = sum(row.prompt_tokens - row.cached_tokens for row in rows)
    one = max(row.prompt_tokens for row in rows)
    framings = (size - 1) * LONGEST_FRAMING
    assert computed < 1.2 * (one + framings)
    assert sum(row.cached_tokens for row in rows) > 0.5 * (size - 1) * one
