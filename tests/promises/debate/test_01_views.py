"""Promises 1 and 2: nobody sees what they may not, and what they see of one round begins what they see of the next."""

from __future__ import annotations

import asyncio
import itertools
import json

from hypothesis import given
from hypothesis import strategies as st

from symposia.backends import Scripted
from symposia.core.events import TurnDenied, TurnTaken
from symposia.core.lines import Line
from symposia.core.message import Reasoning
from symposia.core.request import Request
from symposia.talk.converse import converse
from symposia.talk.debate.reading import rounds_of
from symposia.talk.debate.setting import kit_for
from symposia.talk.debate.stored import StoredDebate
from tests.debates import ALL, Wild, debate_of, held

seeds = st.integers(0, 10**6)
sizes = st.integers(2, 5)


def answers_asked(backend: Scripted) -> list[Request]:
    return [r for r in backend.requests if r.about.purpose == "answer"]


def entries(line: Line) -> list[dict[str, object]]:
    """The JSON entries a user line shows."""
    return [
        entry
        for piece in line.text.split("\n\n")
        if piece.startswith("[{") or piece == "[]"
        for entry in json.loads(piece)
    ]


@given(seeds, sizes)
def test_a_seat_sees_the_rounds_before_its_own_and_nothing_else(seed: int, size: int) -> None:
    """Others' whole visible texts in team order, then the direction; no entry of its own, no reasoning, no trail."""
    debate = debate_of(size, quorum=1, max_rounds=3)
    backend = Scripted(Wild(seed), features=ALL)
    done = held(debate, backend)
    rounds = rounds_of(done.transcript, debate)
    secrets = [p.text for m in done.transcript for p in m.parts if isinstance(p, Reasoning)]
    for request in answers_asked(backend):
        shown = [entry for line in request.lines if line.role == "user" for entry in entries(line)]
        played = [r for r in rounds if r.start <= request.turn]
        before = [r for r in played if r.start < request.turn]
        expected = [
            {"round": r.number, "author": one.seat, "kind": "answer", "content": one.message.text}
            if one is not None
            else {"round": r.number, "author": "captain", "kind": "direction", "content": r.direction[1].text}
            for r in before
            for one in (
                *(a for a in r.answers if a.seat != request.speaker),
                *([None] if r.direction else []),
            )
        ]
        assert shown == expected
        text = "".join(line.text for line in request.lines)
        assert not any(secret in text for secret in secrets)
        assert all(line.role in ("system", "user", "assistant") and not line.calls for line in request.lines)


@given(seeds, sizes)
def test_the_system_line_is_the_same_bytes_for_every_seat(seed: int, size: int) -> None:
    """Team rules, roster, answer format: nothing private before the question."""
    backend = Scripted(Wild(seed), features=ALL)
    held(debate_of(size, quorum=1), backend)
    lines = {request.lines[0] for request in answers_asked(backend)}
    assert len(lines) == 1
    assert {request.lines[1].text.split("\n\n")[0] for request in answers_asked(backend)} == {
        "What is 6 times 7?"
    }


@given(seeds, sizes, st.sampled_from(["captain", "fixed:3", "belief"]))
def test_a_readers_lines_begin_its_lines_of_the_next_round(seed: int, size: int, stop: str) -> None:
    """A strict prefix, segment by segment, for a seat that has not abstained, and for the captain always."""
    debate = debate_of(size, quorum=1, stop=stop)
    backend = Scripted(Wild(seed, failing=0.1), features=ALL)
    done = held(debate, backend)
    lost = {one.seat for r in rounds_of(done.transcript, debate) for one in r.lost}
    asked: dict[str, list[Request]] = {}
    for request in backend.requests:
        if request.about.purpose in ("answer", "ruling"):
            asked.setdefault(request.speaker, []).append(request)
    for name, requests in asked.items():
        for earlier, later in itertools.pairwise(requests):
            if name not in lost:
                assert len(earlier.lines) < len(later.lines)
                assert later.lines[: len(earlier.lines)] == earlier.lines


@given(seeds)
def test_a_cut_round_asks_the_rest_what_they_would_have_been_asked(seed: int) -> None:
    """After any event: the same speakers get the same requests, seeds included, as in the debate that was not cut."""
    debate = debate_of(4, quorum=1, max_rounds=2)
    rules = StoredDebate(question="?", debate=debate).rules
    whole = Scripted(Wild(seed), features=ALL)
    events: list[object] = []
    done = held(debate, whole, rules=rules, tell=events.append)
    committed = [1]
    for event in events:
        if isinstance(event, TurnTaken | TurnDenied):
            messages = event.messages if isinstance(event, TurnTaken) else (event.message,)
            committed.append(committed[-1] + len(messages))
    assert committed[-1] == len(done.transcript)
    digests = {request.digest for request in whole.requests}
    for cut in committed:
        again = Scripted(Wild(seed), features=ALL)
        setting = {"rules": rules, "kit": kit_for(debate)}
        ended = asyncio.run(
            converse(debate, debate.participants, again, transcript=done.transcript[:cut], **setting)
        )
        assert ended.transcript.digest == done.transcript.digest
        assert {request.digest for request in again.requests} <= digests
