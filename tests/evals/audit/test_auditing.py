"""A captain's habits, found: scripted captains that choose by place, by content, by length, by majority, by model."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from scipy import stats

from symposia.backends import Journal
from symposia.core.profile import Profile
from symposia.evals.audit.auditing import audit_debates
from symposia.evals.audit.measures import audit, position
from symposia.evals.audit.picks import Candidate, Pick
from symposia.evals.replay.replaying import Held
from symposia.talk.debate.teams import team
from symposia.talk.rules import Rules
from tests.evals.replay.debates import PROFILE, debate_of, hold, script, texts

ANSWERS = {
    "evidence": "a long winded answer",
    "refutation": "brief",
    "calibration": "brief",
    "interpretation": "middling one",
    "framing": "brief",
}


@pytest.fixture
def journal(tmp_path):
    with Journal.open(tmp_path) as opened:
        yield opened


def chooser(choose):
    """Seats with fixed answers, and a captain that chooses by `choose` among the candidates it is shown."""

    def reply(request):
        if request.force is None:
            return f"Well.\n[[ANSWER]] {ANSWERS[request.speaker]}"
        if request.force.name == "conclude":
            return {"consensus": False, "direction": "Look again."}
        (found,) = re.findall(r'\[\{"label".*?\}\]', texts(request))
        return {"choice": choose(json.loads(found))["label"]}

    return reply


async def audited(journal, choose, debates: int = 5, **fields):
    held = []
    for number in range(debates):
        debate = debate_of(team=team("B"), max_rounds=1, seed=number, **fields)
        one = await hold(debate, script(chooser(choose)), journal, Rules(seed_key=(number,)))
        held.append((str(number), one))
    return await audit_debates(held), held


async def test_a_captain_that_takes_the_first_is_found_out(journal) -> None:
    """Every choice in the first place, another answer in every rotation."""
    done, _ = await audited(journal, lambda candidates: candidates[0])
    told = done.audit
    assert (told.selections, told.unreadable) == (15, 0)
    assert told.position.chosen == (15, 0, 0)
    assert told.position.expected == pytest.approx((5, 5, 5))
    assert told.position.test.p < 0.001
    assert (told.flips.share, told.flips.n) == (1.0, 15)
    assert told.plurality.share == pytest.approx(1 / 3) == told.plurality.chance


async def test_a_captain_that_reads_is_found_indifferent_to_place(journal) -> None:
    """Each rotation puts its answer elsewhere, and it is taken there."""
    done, _ = await audited(
        journal, lambda candidates: max(candidates, key=lambda c: c["answer"] == "middling one")
    )
    told = done.audit
    assert told.position.chosen == (5, 5, 5)
    assert told.position.test.p == pytest.approx(1.0)
    assert told.flips.share == 0.0
    assert told.plurality.share == 0.0


async def test_length_is_told_from_support(journal) -> None:
    """Longer answers are chosen: also among answers of one seat each."""
    done, _ = await audited(journal, lambda candidates: max(candidates, key=lambda c: len(c["answer"])))
    assert done.audit.length.rho > 0.8
    assert done.audit.length_at_equal_support.rho == pytest.approx(1.0)
    assert (done.audit.length.n, done.audit.length_at_equal_support.n) == (15, 10)


async def test_the_majority_is_counted_where_there_is_one(journal) -> None:
    done, _ = await audited(journal, lambda candidates: min(candidates, key=lambda c: len(c["answer"])))
    assert (done.audit.plurality.share, done.audit.plurality.n) == (1.0, 15)


async def test_the_captains_own_model_is_counted_where_there_are_others(journal) -> None:
    other = team("B")
    seats = tuple(
        replace(seat, profile=Profile(model="m" if seat.name == "evidence" else "other"))
        for seat in other.seats
    )
    mixed = replace(other, seats=seats)
    debate = debate_of(team=mixed, max_rounds=1, captain=PROFILE)
    longest = chooser(lambda candidates: max(candidates, key=lambda c: len(c["answer"])))
    held = await hold(debate, script(longest), journal)
    told = (await audit_debates([("1", held)])).audit
    assert (told.own_model.share, told.own_model.n) == (1.0, 3)
    assert told.own_model.chance == pytest.approx(1 / 3)
    plain, _ = await audited(journal, lambda candidates: candidates[0], debates=1)
    assert plain.audit.own_model.n == 0


async def test_an_audit_again_makes_no_call(journal) -> None:
    done, held = await audited(journal, lambda candidates: candidates[-1])
    again = await audit_debates(held)
    assert done.calls == 15
    assert (again.calls, again.audit, again.picks) == (0, done.audit, done.picks)


async def test_unanimous_debates_and_debates_without_captain_are_left_out(journal) -> None:
    agreed = script(lambda r: {"consensus": True, "direction": None} if r.force else "x\n[[ANSWER]] 1")
    voted = debate_of(captain=None, stop="fixed:1", select="vote")
    held = [
        ("agreed", await hold(debate_of(), agreed, journal)),
        ("voted", await hold(voted, script(), journal, Rules(seed_key=(9,)))),
    ]
    done = await audit_debates(held)
    assert (done.calls, done.picks, done.audit.position.test) == (0, (), None)


async def test_an_unreadable_choice_is_nobodys(journal) -> None:
    """A captain that answers with a label that is not there chooses nothing, least of all the first."""
    held = await hold(debate_of(max_rounds=1), script(), journal)
    confused = script(lambda r: {"choice": "Z"})
    from symposia.backends import Journalled

    done = await audit_debates(
        [("1", Held(held.debate, held.transcript, Journalled(confused, journal), held.rules))]
    )
    assert (done.audit.selections, done.audit.unreadable, done.audit.position.n) == (3, 3, 0)


@given(
    picks=st.lists(
        st.integers(2, 5).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n - 1))),
        min_size=1,
        max_size=60,
    )
)
def test_position_is_scipys_chi_square(picks) -> None:
    """Against a second implementation, whatever the numbers of candidates."""

    def candidate(at):
        return Candidate(seat=f"s{at}", support=1, length=at, own_model=False)

    made = [
        Pick(debate=str(i), rotation=0, candidates=tuple(candidate(at) for at in range(n)), chosen=chosen)
        for i, (n, chosen) in enumerate(picks)
    ]
    found = position(made)
    known = stats.chisquare(found.chosen, found.expected)
    assert sum(found.expected) == pytest.approx(len(made))
    assert found.test.statistic == pytest.approx(known.statistic)
    assert found.test.p == pytest.approx(known.pvalue)
    assert audit(made).selections == len(made)
