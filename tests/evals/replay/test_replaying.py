"""Causal replay: what is not touched is not asked again, what is touched shows."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from symposia.backends import Fault, Journal
from symposia.core.errors import InvalidInput, UnknownName
from symposia.core.profile import Profile, Sampling
from symposia.evals.replay.edits import Direct, Mute, Patch, Revise
from symposia.evals.replay.replaying import replay
from symposia.talk.debate.reading import rounds_of
from tests.evals.replay.debates import PROFILE, debate_of, hold, lead, script, texts


@pytest.fixture
def journal(tmp_path):
    with Journal.open(tmp_path) as opened:
        yield opened


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"captain": None, "stop": "fixed:2", "select": "vote"},
        {"beliefs": True},
        {"max_rounds": 1, "orders": 1},
    ],
)
async def test_no_edit_makes_no_call_and_gives_the_same_bytes(journal, fields) -> None:
    """Promise 11, second half."""
    held = await hold(debate_of(**fields), inner := script(), journal)
    asked = len(inner.requests)
    done = await replay(held, ())
    assert (done.calls, len(inner.requests)) == (0, asked)
    assert done.digest == held.transcript.digest
    assert (done.after, done.changed, done.seats) == (done.before, False, ())


async def test_no_edit_keeps_what_failed(journal) -> None:
    """An abstention is part of what was said: it is not asked again."""
    held = await hold(debate_of(), script(faults=[Fault(cause="server_error", speaker="practice")]), journal)
    done = await replay(held, ())
    assert (done.calls, done.digest) == (0, held.transcript.digest)


@pytest.mark.parametrize("last", [1, 2, 3])
async def test_muting_a_seat_that_nobody_read_changes_nothing(journal, last) -> None:
    """Promise 11, first half: without a captain nobody reads the last round."""
    debate = debate_of(captain=None, stop=f"fixed:{last}", select="vote")
    held = await hold(debate, inner := script(), journal)
    asked = len(inner.requests)
    for seat in debate.team.names:
        done = await replay(held, (Mute(seat, last),))
        assert (done.calls, done.changed, done.seats) == (0, False, ())
        assert replace(done.after, ledger=()) == replace(done.before, ledger=())
    assert len(inner.requests) == asked


async def test_a_muted_seat_is_heard_by_itself_alone(journal) -> None:
    """From its round on nobody else is shown its words, and it goes on seeing them; what came before is not asked."""
    held = await hold(debate_of(max_rounds=3), inner := script(), journal)
    asked = len(inner.requests)
    done = await replay(held, (Mute("evidence", 1),))
    new = inner.requests[asked:]
    (words,) = [m.text for m in held.transcript[1:4] if m.author == "evidence"]
    assert done.changed
    assert {r.speaker for r in new} == {"evidence", "derivation", "practice", "captain"}
    assert not any(r.about.purpose == "answer" and r.turn == 1 for r in new), (
        "round 1 was answered from the journal"
    )
    quoted = words.replace("\n", "\\n")
    for request in new:
        shown = words in texts(request) or quoted in texts(request)
        assert shown == (request.speaker == "evidence")
    assert done.calls == len(new)
    assert {(c.round, c.seat) for c in done.seats} >= {(2, "derivation"), (2, "practice")}
    assert all(c.round > 1 for c in done.seats)


async def test_a_seat_muted_throughout_stays_unheard(journal) -> None:
    """Without a round, in all of them; the captain is offered none of its answers."""
    held = await hold(debate_of(), inner := script(), journal)
    asked = len(inner.requests)
    done = await replay(held, (Mute("practice"),))
    for request in inner.requests[asked:]:
        if request.speaker != "practice":
            assert '"author":"practice"' not in texts(request)
        if request.force is not None and request.force.name == "choose":
            assert request.force.parameters["properties"]["choice"]["enum"] == ["A", "B"]
    assert done.after.seat != "practice"


async def test_a_patched_message_is_said_instead(journal) -> None:
    """It is scripted, costs nothing, and later rounds read it."""
    held = await hold(debate_of(), inner := script(lead), journal)
    asked = len(inner.requests)
    done = await replay(held, (Patch("evidence", 1, "No: look again.\n[[ANSWER]] 13"),))
    assert {(c.round, c.seat, c.after) for c in done.seats} >= {
        (1, "evidence", "13"),
        (2, "derivation", "13"),
        (2, "practice", "13"),
    }
    assert not any(r.speaker == "evidence" and r.turn == 1 for r in inner.requests[asked:])


async def test_a_later_patch_is_said_when_its_round_comes(journal) -> None:
    """Two edits: the branch begins at the first, the second is made on the way."""
    held = await hold(debate_of(), script(lead), journal)
    edits = (Mute("practice", 1), Patch("evidence", 2, "Now I doubt it.\n[[ANSWER]] 99"))
    done = await replay(held, edits)
    assert (2, "evidence", "42", "99") in {(c.round, c.seat, c.before, c.after) for c in done.seats}
    assert (3, "derivation", "42", "99") in {(c.round, c.seat, c.before, c.after) for c in done.seats}


async def test_another_direction_is_what_the_seats_read(journal) -> None:
    """The captain's call stays what it was; its published words are the given ones, in a later round too."""
    for edits in ((Direct(1, "Count again."),), (Mute("practice", 1), Direct(2, "Count again."))):
        held = await hold(debate_of(), inner := script(), journal)
        asked = len(inner.requests)
        await replay(held, edits)
        new = [r for r in inner.requests[asked:] if r.about.purpose == "answer"]
        number = edits[-1].round
        told = f'"round":{number},"author":"captain","kind":"direction","content":"Count again."'
        later = [r for r in new if f'"round":{number},' in texts(r)]
        assert later
        assert all(told in texts(r) for r in later)


async def test_another_profile_answers_from_its_round_on(journal) -> None:
    """Only that seat, only then; earlier rounds are kept, unchanged requests are answered from the journal."""
    held = await hold(debate_of(), inner := script(), journal)
    asked = len(inner.requests)
    other = Profile(model="other", sampling=Sampling(temperature=0.7))
    done = await replay(held, (Revise("derivation", other, 2),))
    new = inner.requests[asked:]
    assert {r.speaker for r in new if r.model == "other"} == {"derivation"}
    starts = [each.start for each in rounds_of(held.transcript, held.debate)]
    assert [r.speaker for r in new if r.turn == starts[1]] == ["derivation"]
    assert min(r.turn for r in new) == starts[1]
    assert done.seats == (), "a script does not care which model it is"


async def test_a_profile_may_change_after_another_edit(journal) -> None:
    held = await hold(debate_of(), inner := script(), journal)
    asked = len(inner.requests)
    other = Profile(model="other")
    await replay(held, (Mute("practice", 1), Revise("derivation", other, 3)))
    of_it = [r for r in inner.requests[asked:] if r.speaker == "derivation"]
    assert [r.model for r in of_it] == ["m", "other"]


async def test_the_same_replay_again_makes_no_call(journal) -> None:
    held = await hold(debate_of(), script(), journal)
    first = await replay(held, (Mute("evidence"),), repeats=3)
    again = await replay(held, (Mute("evidence"),), repeats=3)
    assert first.calls > 0
    assert replace(first, calls=0) == again


@pytest.mark.parametrize(
    ("edit", "error", "named"),
    [
        (Mute("nobody"), UnknownName, "nobody"),
        (Mute("evidence", 4), InvalidInput, "this debate has 3"),
        (Direct(3, "x"), InvalidInput, "without a direction"),
        (Patch("practice", 1, "x"), InvalidInput, "server_error"),
        (Revise("nobody", PROFILE), UnknownName, "nobody"),
    ],
)
async def test_a_change_of_what_is_not_there_is_refused(journal, edit, error, named) -> None:
    """Before any call."""
    inner = script(faults=[Fault(cause="server_error", speaker="practice")])
    held = await hold(debate_of(), inner, journal)
    asked = len(inner.requests)
    with pytest.raises(error, match=named):
        await replay(held, (edit,))
    assert len(inner.requests) == asked


async def test_belief_shifts_are_of_seats_read_in_both(journal) -> None:
    held = await hold(debate_of(beliefs=True), script(lead), journal)
    done = await replay(held, (Patch("evidence", 1, "Or else.\n[[ANSWER]] 13"),))
    assert done.beliefs
    assert all(0 <= shift.distance <= 1 for shift in done.beliefs)


async def test_repeats_compare_with_an_unedited_branch_under_the_same_fresh_seeds(journal) -> None:
    """A seat that decides makes an effect of 1; one that nobody follows makes none, however noisy the debate is."""
    held = await hold(debate_of(), inner := script(lead), journal)
    done = await replay(
        held,
        (
            Patch("evidence", 1, "x\n[[ANSWER]] 13"),
            Patch("evidence", 2, "x\n[[ANSWER]] 13"),
            Patch("evidence", 3, "x\n[[ANSWER]] 13"),
        ),
        repeats=4,
    )
    assert (done.effect.edited, done.effect.control, done.effect.difference) == (1.0, 0.0, 1.0)
    assert (done.effect.interval.low, done.effect.interval.high) == (1.0, 1.0)
    by_seed = {}
    for request in inner.requests:
        by_seed.setdefault((request.speaker, request.turn, request.about.purpose), set()).add(request.seed)
    assert len(by_seed["derivation", rounds_of(held.transcript, held.debate)[1].start, "answer"]) == 5


async def test_a_noisy_debate_has_no_effect_of_nothing(journal) -> None:
    """Answers that change with every seed change as often without the edit: the difference is 0."""

    def noisy(request):
        if request.force is not None:
            return {"consensus": True, "direction": None}
        return f"x\n[[ANSWER]] {request.seed % 1000}"

    debate = debate_of(captain=None, stop="fixed:2", select="vote", max_rounds=2)
    held = await hold(debate, script(noisy), journal)
    done = await replay(held, (Mute("practice", 1),), repeats=6)
    assert done.effect.edited == done.effect.control > 0
    assert done.effect.difference == 0
