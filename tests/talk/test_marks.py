"""Marks find a turn again; a turn that may abstain does not take its round with it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from symposia.backends import Scripted
from symposia.core.errors import BackendError, TurnFailed, UnsupportedRequest
from symposia.core.events import TurnLost, TurnTaken
from symposia.core.message import Message, Signal, Text, ToolCall, ToolResult
from symposia.core.profile import Participant, Profile
from symposia.core.request import Retrying
from symposia.core.toolspec import ToolSpec
from symposia.core.transcript import Transcript
from symposia.talk.converse import converse
from symposia.talk.protocols import Step, Stop, Turn
from symposia.talk.rules import Answered, Kit

PICK = ToolSpec(name="pick", description="Pick.", parameters={"type": "object", "properties": {}})
SEATS = tuple(Participant(name=n, profile=Profile(model="m")) for n in ("ann", "bob", "cat"))


class Round:
    """One round of the given turns, each found again by its mark."""

    def __init__(self, *turns: Turn) -> None:
        self.turns = turns

    def next(self, transcript: Transcript) -> Step:
        missing = tuple(t for t in self.turns if not any(t.took(m) for m in transcript))
        return missing or Stop("done")


def turns(*names: str, on_failure: str = "abstain", **fields: object) -> tuple[Turn, ...]:
    return tuple(
        Turn(speaker=n, as_of=0, mark=Signal("answer", "1"), on_failure=on_failure, **fields) for n in names
    )


async def test_a_turn_that_may_abstain_leaves_its_siblings_and_its_cause() -> None:
    """One speaker's failure is a control message with its cause; what others said is kept; nobody asks again."""
    backend = Scripted(lambda r: BackendError("down", cause="server_error") if r.speaker == "bob" else "yes")
    seen: list[object] = []
    done = await converse(Round(*turns("ann", "bob", "cat")), SEATS, backend, emit=seen.append)
    assert [m.text for m in done.transcript] == ["yes", "", "yes"]
    failed = done.transcript[1]
    assert failed.is_control
    assert failed.parts == (Signal("failed", "server_error"), Signal("answer", "1"))
    assert done.tally.failures == (("server_error", 1),)
    assert [e.about.purpose for e in seen if isinstance(e, TurnLost | TurnTaken)] == ["answer"] * 3
    assert len(backend.requests) == 3


async def test_a_refusal_is_raised_however_the_turn_takes_failure() -> None:
    """What a backend cannot do at all is not an abstention: nobody would find out."""
    turn = turns("ann", choices=("a", "b"))
    with pytest.raises(UnsupportedRequest):
        await converse(Round(*turn), SEATS, Scripted(lambda r: "yes"))


async def test_without_it_a_failed_turn_stops_the_conversation() -> None:
    backend = Scripted(lambda r: BackendError("down", cause="server_error"))
    with pytest.raises(TurnFailed):
        await converse(Round(*turns("ann", on_failure="stop")), SEATS, backend)


async def test_one_speaker_takes_several_marked_turns_of_a_round_with_streams_of_their_own() -> None:
    """The seed depends on the mark, so equal views give independent draws."""
    backend = Scripted(lambda r: str(r.seed))
    marks = [Signal("select", "0"), Signal("select", "1")]
    protocol = Round(*(Turn(speaker="ann", as_of=0, mark=mark) for mark in marks))
    done = await converse(protocol, SEATS, backend)
    assert len({m.text for m in done.transcript}) == 2
    assert [m.parts[1] for m in done.transcript] == marks
    assert {r.about.purpose for r in backend.requests} == {"select"}


def publish(calls: Sequence[ToolCall], turn: Turn, seen: Transcript) -> Answered:
    results = tuple(ToolResult(id=c.id, name=c.name, text="read") for c in calls)
    said = Message(author=turn.speaker, parts=(Text("to all"),), origin="sampled", as_of=len(seen))
    return Answered(results, (said,))


async def test_the_answer_to_a_forced_call_may_bring_messages() -> None:
    """Call, result and what follows are committed in one event; the trail is the speaker's alone."""
    backend = Scripted(lambda r: {"x": 1}, features=frozenset({"force"}))
    seen: list[object] = []
    done = await converse(
        Round(*turns("ann", force=PICK)), SEATS, backend, kit=Kit(answers={"pick": publish}), emit=seen.append
    )
    call, result, said = done.transcript
    assert (call.audience, result.audience, said.audience) == (frozenset({"ann"}), frozenset({"ann"}), None)
    assert (result.parts[0].text, said.text) == ("read", "to all")
    assert [len(e.messages) for e in seen if isinstance(e, TurnTaken)] == [3]


async def test_a_backends_repeated_attempt_is_an_event() -> None:
    """What a backend says of its retries reaches the log, and nobody takes it for a reply."""

    class Twice(Scripted):
        async def generate(self, request):
            yield Retrying(cause="rate_limited", wait_s=0.5, attempt=2)
            async for item in super().generate(request):
                yield item

    seen: list[object] = []
    await converse(Round(*turns("ann")), SEATS, Twice(lambda r: "yes"), emit=seen.append)
    (told,) = [e for e in seen if type(e).__name__ == "GenerationRetried"]
    assert (told.cause, told.wait_s, told.attempt) == ("rate_limited", 0.5, 2)
