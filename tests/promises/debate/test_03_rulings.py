"""Promises 3, 4, 5 and 7: calls, the answer's words, failures, choices."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symposia.backends import Scripted
from symposia.core.errors import BackendError
from symposia.core.message import Reasoning, Text, ToolCall
from symposia.core.request import Request
from symposia.talk.debate import MARKER, read_answer
from symposia.talk.debate.calls import Choice, Conclusion, Invalid, read_choice, read_conclusion
from symposia.talk.debate.choosing import orders_of
from symposia.talk.debate.ledger import ledger_of, totals
from symposia.talk.debate.reading import rounds_of
from tests.debates import ALL, Wild, called, completion, debate_of, held

seeds = st.integers(0, 10**6)
plain = st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.lists(st.integers(), max_size=2)


def call(**arguments: object) -> ToolCall:
    return ToolCall(id="c", name="conclude", arguments=arguments)


@given(st.dictionaries(st.sampled_from(["consensus", "direction", "more"]), plain, max_size=3))
def test_only_the_two_keys_with_their_own_types_are_a_ruling(arguments: dict[str, object]) -> None:
    """A boolean and a text or null, nothing else; without consensus the text says something."""
    read = read_conclusion([call(**arguments)])
    consensus, direction = arguments.get("consensus"), arguments.get("direction", 0)
    fits = set(arguments) == {"consensus", "direction"} and isinstance(consensus, bool)
    fits = fits and (direction is None or isinstance(direction, str))
    fits = fits and (consensus is True or (isinstance(direction, str) and bool(direction.strip())))
    assert isinstance(read, Conclusion) == fits
    if isinstance(read, Conclusion):
        assert (read.consensus, read.direction) == (consensus, direction)
    else:
        assert "expected" in read.why
        assert "got" in read.why


@pytest.mark.parametrize("consensus", ["true", "false", "True", 1, 0, 1.0, [True], None])
def test_nothing_but_a_boolean_is_one(consensus: object) -> None:
    """`bool("false")` is true, and lenient readers take "false" for false: here neither is a ruling."""
    assert isinstance(read_conclusion([call(consensus=consensus, direction="count again")]), Invalid)


@given(seeds)
def test_candidates_have_labels_and_no_names(seed: int) -> None:
    """What is asked at selection names no seat: label and finished answer, nothing else."""
    debate = debate_of(4, stop="fixed:1", quorum=1)
    backend = Scripted(Wild(seed, words=("7", "8")), features=ALL)
    held(debate, backend)
    for request in backend.requests:
        if request.about.purpose == "select":
            cue = request.lines[-1].text.rpartition("\n\n")[2]
            shown = json.loads(cue.splitlines()[-1])
            assert [set(one) for one in shown] == [{"label", "answer"}] * len(shown)
            assert not any(f'"{name}"' in cue for name in debate.team.names)


@pytest.mark.parametrize(
    "prose", ["Of the 3 candidates, 1 is best", "I cannot decide", "2 and 3 agree", "A", "1", "", "a"]
)
def test_prose_is_never_a_choice(prose: str) -> None:
    """No label is read out of words, whatever number they begin with."""
    chosen = called({"choice": prose}, name="choose").parts
    assert isinstance(read_choice([], "ABC"), Invalid)
    read = read_choice([part for part in chosen if isinstance(part, ToolCall)], ("A", "B", "C"))
    assert (read == Choice("A")) if prose == "A" else isinstance(read, Invalid)


def answered(reply: str) -> object:
    """Three seats, three answers; the captain chooses as told."""

    def script(request: Request) -> object:
        if request.force is not None:
            return reply
        return f"[[ANSWER]] {request.speaker}"

    return held(debate_of(3, stop="fixed:1"), script)


@pytest.mark.parametrize("prose", ["Of the 3 candidates, 1 is best", "I cannot decide", "2 and 3 agree"])
def test_an_unreadable_choice_is_a_vote_and_says_so(prose: str) -> None:
    """Recorded as no choice in either order; the tie is settled by team order, not by position."""
    done = answered(prose)
    chosen = done.proceedings.chosen.selection
    assert (chosen.method, chosen.choices, chosen.tiebreak) == ("vote", (None, None), "team_order")
    assert done.answer.seat == done.debate.team.names[0]
    first_shown = {order[0] for order in chosen.orders}
    assert len(first_shown) == 2


@given(st.permutations(["7", "8", "9", "10"]), seeds)
def test_permuting_candidates_permutes_labels_only(answers: list[str], seed: int) -> None:
    """Which answer stands at which label does not depend on which seat gave it; the second order is the reverse."""
    debate = debate_of(4, stop="fixed:1", select="vote", seed=seed)

    def shown(given: list[str]) -> list[list[str]]:
        words = dict(zip(debate.team.names, given, strict=True))
        done = held(debate, lambda r: f"[[ANSWER]] {words[r.speaker]}")
        (only,) = rounds_of(done.transcript, debate)
        return [[group[0].extracted.text for group in order] for order in orders_of(only.groups, debate, 1)]

    first, second = shown(answers)
    assert second == first[::-1]
    assert [first, second] == shown(sorted(answers))


@given(seeds, st.integers(2, 5), st.sampled_from(["captain", "fixed:1", "fixed:2", "sprt", "belief"]))
def test_every_path_ends_in_a_seats_own_words_or_in_none(seed: int, size: int, stop: str) -> None:
    """The answer is a piece of the named seat's message: no marker, no reasoning, nothing rewritten."""
    debate = debate_of(size, stop=stop)
    done = held(debate, Wild(seed))
    answer = done.answer
    assert (answer.answer is not None) == (answer.status == "answered")
    if answer.answer is None:
        return
    (message,) = [
        m
        for m in done.transcript
        if m.author == answer.seat
        and m.provenance
        and ("answer", str(answer.round)) in [(p.name, p.note) for p in m.parts if hasattr(p, "note")]
    ]
    assert answer.answer.encode() in message.text.encode()
    assert MARKER not in answer.answer
    assert not any(p.text in answer.answer for p in message.parts if isinstance(p, Reasoning))
    assert sum(n for _, n in answer.support) == len(done.proceedings.last.answers)


@given(seeds, st.integers(2, 5))
def test_all_calls_are_answered_in_every_request(seed: int, size: int) -> None:
    """Each call on an assistant line is followed by one result with its id, before anything else is said."""
    backend = Scripted(Wild(seed, failing=0.05), features=ALL)
    held(debate_of(size, quorum=1), backend)
    for request in backend.requests:
        open_ids: list[str] = []
        for line in request.lines:
            if line.role == "tool":
                open_ids.remove(line.call_id)
            else:
                assert not open_ids
                open_ids = [call.id for call in line.calls]
        assert not open_ids


CAUSES = ("server_error", "timeout", "connection", "rate_limited", "content_filter", "auth")


@given(seeds, st.integers(0, 2), st.integers(1, 2), st.sampled_from([*CAUSES, "truncated", "empty_answer"]))
def test_one_seat_failing_takes_nothing_from_the_others(seed: int, who: int, when: int, cause: str) -> None:
    """In any round, for any cause: siblings' messages and tokens stand, and the seat is asked again."""
    debate = debate_of(3, max_rounds=3)
    fallen = debate.team.names[who]
    calls: dict[str, int] = {}

    def script(request: Request) -> object:
        if request.force is not None:
            return (
                called({"consensus": False, "direction": "go on"})
                if request.force.name == "conclude"
                else "?"
            )
        calls[request.speaker] = calls.get(request.speaker, 0) + 1
        if request.speaker == fallen and calls[fallen] == when:
            if cause == "truncated":
                return completion(Text("half a"), finish="length")
            return " [[ANSWER]] " if cause == "empty_answer" else BackendError("down", cause=cause)
        return completion(Text(f"[[ANSWER]] {random.Random(seed).randrange(3)}"))

    done = held(debate, script)
    assert done.answer.status == "answered"
    assert all(n == 3 for n in calls.values())
    rounds = done.proceedings.rounds
    assert [[one.seat for one in r.lost] for r in rounds] == [
        [fallen] if r.number == when else [] for r in rounds
    ]
    assert rounds[when - 1].lost[0].cause == cause
    assert sum(len(r.answers) for r in rounds) == 8
    used = sum(
        row.completion_tokens for row in done.answer.ledger if row.purpose == "answer" and not row.cause
    )
    assert used == 8 * 5


def test_below_the_quorum_everything_is_returned() -> None:
    """`no_quorum`, with what was said, what it cost and why the rest is missing."""

    def script(request: Request) -> object:
        return "[[ANSWER]] 42" if request.speaker == "evidence" else BackendError("down", cause="timeout")

    done = held(debate_of(3), script)
    assert (done.answer.status, done.answer.answer, done.answer.rounds) == ("no_quorum", None, 1)
    assert [m.text for m in done.transcript if m.text] == ["What is 6 times 7?", "[[ANSWER]] 42"]
    assert {row.cause for row in done.answer.ledger} == {None, "timeout"}


@given(seeds, st.integers(2, 5))
def test_the_ledger_is_the_sum_of_what_the_transcript_says_was_used(seed: int, size: int) -> None:
    """With times and repeated attempts or without: the same tokens, and every completion once."""
    backend = Scripted(Wild(seed), features=ALL)
    done = held(debate_of(size, quorum=1, beliefs=True), backend)
    timed, read = totals(done.answer.ledger), totals(ledger_of(done.transcript, done.debate))
    used = [m.provenance.usage for m in done.transcript if m.provenance]
    assert timed.prompt_tokens == sum(u.input_tokens for u in used)
    assert timed.completion_tokens == sum(u.output_tokens for u in used)
    assert timed.attempts == len(backend.requests)
    assert read.prompt_tokens == timed.prompt_tokens
    assert read_answer(done.transcript, done.debate).answer == done.answer.answer
