"""Exact influence of seats: every set of them holds the debate; who is outside is neither heard nor a candidate."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from symposia.backends import Journal
from symposia.core.errors import InvalidInput
from symposia.core.profile import Sampling
from symposia.evals.replay.influence import cost, influence
from symposia.talk.debate.teams import team_of
from tests.evals.replay.debates import PROFILE, debate_of, hold, lead, script, texts

GREEDY = replace(PROFILE, sampling=Sampling(temperature=0.0))
VOTE = {"captain": None, "stop": "fixed:2", "select": "vote", "max_rounds": 2, "profile": GREEDY}


@pytest.fixture
def journal(tmp_path):
    with Journal.open(tmp_path) as opened:
        yield opened


async def test_a_seat_that_everybody_follows_is_worth_everything(journal) -> None:
    """42 is said wherever `evidence` takes part, and nowhere else; the values add up to the worth of all."""
    held = await hold(debate_of(**VOTE), script(lead), journal)
    done = await influence(held, right="42")
    assert done.values == pytest.approx({"evidence": 1.0, "derivation": 0.0, "practice": 0.0})
    worth = dict(done.worth)
    assert worth[()] == 0
    assert {seats for seats, value in worth.items() if value} == {s for s in worth if "evidence" in s}
    assert sum(done.values.values()) == pytest.approx(worth["evidence", "derivation", "practice"])


async def test_without_a_key_right_is_what_was_answered(journal) -> None:
    held = await hold(debate_of(**VOTE), script(lead), journal)
    assert (await influence(held)).values["evidence"] == pytest.approx(1.0)
    assert sum((await influence(held, right="7")).values.values()) == pytest.approx(0.0)


async def test_who_is_outside_is_never_asked_and_never_shown(journal) -> None:
    """Sets smaller than all are asked without the others; the whole set is the debate there was, from the journal."""
    held = await hold(debate_of(**VOTE), inner := script(lead), journal)
    asked = len(inner.requests)
    done = await influence(held)
    new = inner.requests[asked:]
    assert done.calls == len(new) > 0
    assert all(r.about.turn > 1 for r in new), "what a seat says first, it has said already"
    alone = [r for r in new if texts(r).count('"author"') == 0]
    assert {r.speaker for r in alone} == {"evidence", "derivation", "practice"}
    again = await influence(held)
    assert replace(again, calls=done.calls) == done
    assert again.calls == 0


async def test_the_cost_is_known_before(journal) -> None:
    """At most so many calls, for a debate whose captain never agrees."""
    for fields in ({}, {"max_rounds": 2, "orders": 1}, VOTE):
        debate = debate_of(**fields)
        with Journal.unkept() as fresh:
            held = await hold(debate, inner := script(), fresh)
            asked = len(inner.requests)
            done = await influence(held, repeats=2)
            planned = cost(debate, 2)
            assert done.debates == planned.debates == 14
            assert len(inner.requests) - asked == done.calls <= planned.calls


def test_large_teams_are_refused() -> None:
    six = team_of(("evidence", "derivation", "practice", "coherence", "refutation", "calibration"))
    with pytest.raises(InvalidInput, match="at most 5 seats; this team has 6"):
        cost(debate_of(team=six))
