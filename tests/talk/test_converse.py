"""The loop: rounds, commits, events, cancelling."""

from __future__ import annotations

import asyncio

import pytest

from symposia.backends import Fault, Scripted
from symposia.core.clock import VirtualClock
from symposia.core.errors import BackendError, ContextOverflow, InvalidInput, ProtocolError, TurnFailed
from symposia.core.events import (
    ConversationStarted,
    ConversationStopped,
    GenerationFinished,
    GenerationRetried,
    GenerationStarted,
    TurnLost,
    TurnTaken,
)
from symposia.core.lines import Line, Segment
from symposia.core.request import Delta
from symposia.talk.converse import converse, tally_of
from symposia.talk.hooks import Forbid
from symposia.talk.protocols import RoundRobin, Rounds, Stop, Turn
from symposia.talk.rules import Kit, Rules
from symposia.talk.stop import TokenBudget, Turns
from tests.company import completion, of, opened, party, talk, texts

THREE = party("ann", "bob", "carla")
NAMES = ("ann", "bob", "carla")
RING, ALL = RoundRobin(speakers=NAMES), Rounds(speakers=NAMES, rounds=1)


async def test_a_round_is_committed_in_the_protocols_order() -> None:
    """Whoever answers first, messages are appended in the order the protocol called."""
    clock, order = VirtualClock(), []

    class Racing(Scripted):
        async def generate(self, request):
            await clock.sleep(3 - NAMES.index(request.speaker))
            order.append(request.speaker)
            async for item in super().generate(request):
                yield item

    outcome = await clock.run(converse(ALL, THREE, Racing(lambda r: r.speaker)))
    assert order == ["carla", "bob", "ann"]
    assert texts(outcome.transcript) == ["ann", "bob", "carla"]
    assert clock.monotonic() == 3  # side by side


def test_nobody_sees_the_round_they_are_in() -> None:
    """All requests of a round show the same transcript, and so does the one that completes a cut round."""
    backend = Scripted(lambda _: "x")
    whole = talk(ALL, THREE, backend, transcript=opened()).transcript
    assert {len(r.lines) for r in backend.requests} == {1}
    talk(ALL, THREE, backend, transcript=whole.up_to(2))
    assert {r.turn for r in backend.requests} == {1}
    assert {len(r.lines) for r in backend.requests} == {1}


def test_finished_turns_of_a_failing_round_stay() -> None:
    """The failing turn raises; its neighbours are committed and emitted before; resuming asks only the missing one."""
    events: list = []
    backend = Scripted(lambda r: r.speaker, faults=(Fault(cause="auth", speaker="bob"),))
    with pytest.raises(TurnFailed) as caught:
        talk(ALL, THREE, backend, events=events)
    kept = caught.value.transcript
    assert (caught.value.cause, caught.value.speaker, texts(kept)) == ("auth", "bob", ["ann", "carla"])
    assert [type(e) for e in events[-4:]] == [TurnTaken, TurnTaken, TurnLost, ConversationStopped]
    assert texts(talk(ALL, THREE, backend, transcript=kept).transcript) == ["ann", "carla", "bob"]
    assert [r.speaker for r in backend.requests].count("ann") == 1


def test_of_several_failures_every_one_is_counted() -> None:
    """Each lost turn is an event; the first is raised; the tally counts them by cause."""
    events: list = []
    faults = tuple(Fault(cause="timeout", speaker=n) for n in ("ann", "carla"))
    with pytest.raises(TurnFailed):
        talk(ALL, THREE, Scripted(lambda _: "x", faults=faults), events=events)
    assert [e.about.speaker for e in of(events, TurnLost)] == ["ann", "carla"]
    assert of(events, ConversationStopped)[0].tally.failures == (("timeout", 2),)


async def test_cancelling_commits_nothing_of_the_round() -> None:
    """Cancelled while one of a round is finished, the conversation emits no turn and leaves no task."""
    clock, events = VirtualClock(), []

    class Racing(Scripted):
        async def generate(self, request):
            await clock.sleep(NAMES.index(request.speaker))
            async for item in super().generate(request):
                yield item

    task = asyncio.ensure_future(converse(ALL, THREE, Racing(lambda _: "x"), emit=events.append))
    await clock.advance(1.5)
    assert len(of(events, GenerationFinished)) == 2
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert of(events, TurnTaken) == []
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.parametrize("kind", [ConversationStarted, GenerationStarted, GenerationFinished, TurnTaken])
@pytest.mark.parametrize("protocol", [RING, ALL])
def test_an_emit_that_raises_stops_the_conversation(kind: type, protocol) -> None:
    """The sink's own error reaches the caller at once, whichever event it was; nothing is emitted after it."""
    seen = []

    def emit(event) -> None:
        seen.append(event)
        if isinstance(event, kind):
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        asyncio.run(
            converse(protocol, THREE, Scripted(lambda _: "x"), emit=emit, rules=Rules(until=Turns(3)))
        )
    broken = next(i for i, e in enumerate(seen) if isinstance(e, kind))
    assert not of(seen[broken + 1 :], TurnTaken)
    assert not of(seen, ConversationStopped)


def test_the_events_of_a_turn_tell_its_story() -> None:
    """Started, a generation begun and finished, the turn taken, stopped, each naming its conversation and turn."""
    events: list = []
    outcome = talk(RING, THREE, events=events, until=Turns(1), conversation="c1", branch="b", run="r")
    kinds = [ConversationStarted, GenerationStarted, GenerationFinished, TurnTaken, ConversationStopped]
    assert [type(e) for e in events] == kinds
    assert {(e.about.run, e.about.conversation, e.about.branch) for e in events} == {("r", "c1", "b")}
    assert events[1].request == outcome.transcript[0].provenance.request
    assert events[2].completion.digest == outcome.transcript[0].provenance.completions[0]
    assert events[-1].tally == outcome.tally


@pytest.mark.parametrize("cause", ["stream_truncated", "bad_response"])
def test_a_cut_stream_is_asked_for_once_more(cause: str) -> None:
    """Repeated once, whole, with the same seed; the attempt is counted and listeners are told to discard."""
    events, heard = [], []
    backend = Scripted(lambda _: "abcd", chunk=2, faults=(Fault(cause=cause, after=1),))
    kit = Kit(listen=lambda about, delta: heard.append(delta.text))
    message = talk(RING, THREE, backend, events=events, until=Turns(1), kit=kit).transcript[0]
    assert (message.text, message.provenance.usage.attempts) == ("abcd", 2)
    assert backend.requests[0] == backend.requests[1]
    assert heard == ["ab", "ab", "cd"]
    (retried,) = of(events, GenerationRetried)
    assert retried.cause == cause
    with pytest.raises(TurnFailed):
        talk(RING, THREE, Scripted(lambda _: "x", faults=(Fault(cause=cause, times=2),)), until=Turns(1))


def test_other_causes_are_not_repeated_here() -> None:
    """A timeout is the backend's to retry: the loop asks once."""
    backend = Scripted(lambda _: "x", faults=(Fault(cause="timeout"),))
    with pytest.raises(TurnFailed):
        talk(RING, THREE, backend, until=Turns(1))
    assert len(backend.requests) == 1


@pytest.mark.parametrize(
    ("items", "cause"),
    [
        ([Delta(text="x")], "stream_truncated"),
        ([completion("x"), completion("y")], "bad_response"),
        ([completion("x"), Delta(text="y")], "bad_response"),
    ],
)
def test_a_stream_ends_with_exactly_one_completion(items: list, cause: str) -> None:
    """A stream without a completion, or with something after it, is a failure with its cause, never a message."""

    class Odd(Scripted):
        async def generate(self, request):
            for item in items:
                yield item

    with pytest.raises(TurnFailed) as caught:
        talk(RING, THREE, Odd({}), until=Turns(1))
    assert caught.value.cause == cause
    assert len(caught.value.transcript) == 0


async def test_every_stream_is_closed() -> None:
    """Finished, failed or cancelled by its listener, a generation's stream is closed before the turn ends."""
    closed = []

    class Watching(Scripted):
        async def generate(self, request):
            try:
                async for item in super().generate(request):
                    yield item
            finally:
                closed.append(request.speaker)

    def deaf(about, delta) -> None:
        raise BackendError("no more", cause="cancelled")

    await converse(RING, THREE, Watching(lambda _: "x"), rules=Rules(until=Turns(1)))
    with pytest.raises(TurnFailed):
        await converse(
            RING, THREE, Watching(lambda _: "x"), rules=Rules(until=Turns(1)), kit=Kit(listen=deaf)
        )
    assert closed == ["ann", "ann"]


def test_listeners_hear_phases_without_think_tags() -> None:
    """Deltas pass through the stream parser: thought and answer apart, tags nowhere."""
    heard: list[tuple[str, str]] = []
    kit = Kit(listen=lambda about, delta: heard.append((delta.phase, delta.text)))
    talk(RING, THREE, Scripted(lambda _: "<think>hm</think>\nHi.", chunk=2), until=Turns(1), kit=kit)
    spelled = {phase: "".join(t for p, t in heard if p == phase) for phase in ("reasoning", "answer")}
    assert spelled == {"reasoning": "hm", "answer": "Hi."}


def test_a_script_that_ran_out_reaches_the_caller() -> None:
    """An input error below a turn stays an InvalidInput, with its own words."""
    with pytest.raises(InvalidInput, match="scripted replies"):
        talk(RING, THREE, Scripted({"ann": ["one"]}), until=Turns(4))


def test_a_context_overflow_reaches_the_caller() -> None:
    """A view that cannot fit raises with its numbers; no model is asked."""
    backend = Scripted(lambda _: "x", context_window=20)
    with pytest.raises(ContextOverflow) as caught:
        talk(RING, THREE, backend, transcript=opened("long " * 50), until=Turns(1))
    assert (caught.value.speaker, caught.value.limit) == ("ann", 20)
    assert backend.requests == []


def test_a_view_the_protocol_gives_is_measured_too() -> None:
    """A protocol's own view does not escape the limit."""
    lines = (Line(role="user", segments=(Segment(text="long " * 500, phase="prompt"),), kind="turn"),)

    class Shows:
        def next(self, transcript):
            return (Turn(speaker="ann", view=lines),)

    backend = Scripted(lambda _: "x", context_window=600)
    with pytest.raises(ContextOverflow):
        talk(Shows(), THREE, backend, until=Turns(1))
    assert backend.requests == []


def test_a_protocol_the_loop_cannot_honour_raises() -> None:
    """A stranger is a ProtocolError, not a failed turn."""
    with pytest.raises(ProtocolError, match="zoe"):
        talk(RoundRobin(speakers=("zoe",)), THREE, until=Turns(1))


def test_the_tally_is_what_the_transcript_says() -> None:
    """Usage, turns and denials of an outcome are those its transcript shows, judges and denials included."""
    kit = Kit(hooks=(Forbid(patterns=("[0-4]$",)),))
    outcome = talk(RING, THREE, transcript=opened(), until=Turns(12), kit=kit)
    assert 0 < outcome.tally.denied < 12
    assert tally_of(outcome.transcript) == outcome.tally.__class__(
        turns=12, denied=outcome.tally.denied, usage=outcome.tally.usage
    )


def test_running_on_equals_running_at_once() -> None:
    """run(2) and then run(2) says what run(4) says."""
    whole = talk(RING, THREE, until=Turns(4)).transcript
    half = talk(RING, THREE, until=Turns(2)).transcript
    assert talk(RING, THREE, transcript=half, until=Turns(4)).transcript == whole


def test_a_cut_round_is_completed_even_if_the_condition_holds_by_now() -> None:
    """`until` is asked before a round, never inside it, so a resumed round is as long as an uncut one."""
    whole = talk(ALL, THREE, until=Turns(1)).transcript
    assert len(whole) == 3
    assert talk(ALL, THREE, transcript=whole.up_to(2), until=Turns(1)).transcript == whole
    assert len(talk(ALL, THREE, transcript=whole.up_to(2), until=Turns(0)).transcript) == 2


def test_an_early_view_is_no_cut_round() -> None:
    """A protocol that shows speakers only the first messages stops like any other, and spends only what is left."""

    class Judges:
        def next(self, transcript):
            return (Turn(speaker=NAMES[len(transcript) % 3], as_of=0),)

    outcome = talk(Judges(), THREE, Scripted(lambda _: "one two"), until=Turns(4))
    assert outcome.stop == Stop("turns: 4")
    assert len(outcome.transcript) == 4
    budget = TokenBudget(per_conversation=5)
    spent = talk(Judges(), THREE, Scripted(lambda _: "one two"), until=budget).tally.usage.output_tokens
    assert spent == 5
