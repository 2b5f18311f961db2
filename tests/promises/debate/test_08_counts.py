"""Promises 8 and 10: how many calls, what the test of agreement sums to, and that probes change nothing."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from symposia.backends import Scripted
from symposia.core.lines import Segment
from symposia.core.message import Scores
from symposia.core.request import Request
from symposia.talk.debate.stops import AGREES, DIFFERS, LOWER, UPPER, sprt_sum
from tests.debates import ALL, Wild, called, debate_of, held


def agreeing_in(rounds: int, *, split: bool):
    """Seats of one answer, or of as many as there are seats; the captain is content in that round."""

    def script(request: Request) -> object:
        seen = sum(line.text.count('"kind":"answer"') for line in request.lines)
        if request.force is not None and request.force.name == "choose":
            return called({"choice": "A"}, name="choose")
        if request.force is not None:
            said = sum(bool(line.calls) for line in request.lines) + 1
            return called({"consensus": said == rounds, "direction": "go on"})
        return f"{seen} [[ANSWER]] {request.speaker if split else 42}"

    return script


@pytest.mark.parametrize("size", [2, 3, 4, 5])
@pytest.mark.parametrize("rounds", [1, 2, 3])
@pytest.mark.parametrize("split", [False, True])
def test_a_debate_makes_as_many_calls_as_the_formula_says(size: int, rounds: int, split: bool) -> None:
    """r (S + 1), and the orders of a selection only where answers differ."""
    backend = Scripted(agreeing_in(rounds, split=split), features=ALL)
    done = held(debate_of(size), backend)
    assert done.answer.rounds == rounds
    assert len(backend.requests) == rounds * (size + 1) + (2 if split else 0)


@pytest.mark.parametrize(("size", "rounds"), [(3, 2), (5, 1), (4, 2), (2, 3)])
def test_unanimous_teams_need_as_many_rounds_as_walds_test_says(size: int, rounds: int) -> None:
    """Three seats two rounds, five seats one; two seats are cut off at the cap with less than is needed."""
    backend = Scripted(lambda r: "[[ANSWER]] 42", features=ALL)
    done = held(debate_of(size, stop="sprt"), backend)
    assert (done.answer.rounds, len(backend.requests)) == (rounds, size * rounds)
    assert done.answer.reason == ("max_rounds" if size == 2 else "sprt_agree")


def test_the_sums_of_the_test_are_the_published_ones() -> None:
    """ln(0.85/0.40), ln(0.15/0.60) and the two borders, to three digits."""
    assert [round(x, 3) for x in (AGREES, DIFFERS, UPPER, LOWER)] == [0.754, -1.386, 2.944, -2.944]
    done = held(
        debate_of(3, stop="fixed:2", select="vote"), lambda r: f"[[ANSWER]] {r.speaker == 'evidence'}"
    )
    assert math.isclose(sprt_sum(done.proceedings.rounds), 2 * (AGREES + DIFFERS))


def unplaced(request: Request) -> Request:
    """The request without positions in the transcript, which no prompt shows and no stream depends on."""

    def bare(segment: Segment) -> Segment:
        return replace(segment, turn=None)

    lines = tuple(replace(line, segments=tuple(map(bare, line.segments))) for line in request.lines)
    return replace(request, turn=0, lines=lines)


@given(st.integers(0, 10**6), st.integers(2, 4))
def test_probes_leave_every_other_request_as_it_is(seed: int, size: int) -> None:
    """Words, sampling and seed of all that is asked besides are the same with beliefs read and without."""

    def asked(beliefs: bool) -> list[str]:
        wild = Wild(seed, failing=0.0)
        spoken = Scripted(lambda r: wild(unplaced(r)), features=ALL)
        held(debate_of(size, beliefs=beliefs), spoken)
        return [unplaced(r).digest for r in spoken.requests if r.about.purpose != "belief"]

    assert asked(True) == asked(False)


@given(st.integers(0, 10**6), st.integers(2, 4))
def test_nobody_hears_of_a_probe(seed: int, size: int) -> None:
    """Not even the seat in whose place the answers were scored."""
    done = held(debate_of(size, beliefs=True), Wild(seed, failing=0.0))
    probes = [m for m in done.transcript if any(isinstance(part, Scores) for part in m.parts)]
    assert all(m.is_control and not m.heard_by(m.author) for m in probes)
    seen = sum(len(played.probes) for played in done.proceedings.rounds)
    assert len(probes) == seen
