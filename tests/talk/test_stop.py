"""Stop conditions and what they leave a turn."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from symposia.backends import Scripted
from symposia.core.capture import Capture, Project, Readout
from symposia.core.clock import VirtualClock
from symposia.core.drift import DriftMeter, Normal, crossings
from symposia.core.errors import InvalidInput, UnknownName
from symposia.core.events import DriftCrossed, Tally, TurnTaken
from symposia.core.message import NOBODY, Message, Signal, Text, said
from symposia.core.transcript import Transcript
from symposia.core.usage import NOTHING, Price, Usage
from symposia.core.value import canonical, decode
from symposia.talk.conversation import Conversation
from symposia.talk.converse import converse
from symposia.talk.hooks import Forbid
from symposia.talk.protocols import RoundRobin, Rounds
from symposia.talk.rules import Kit, Rules
from symposia.talk.stop import (
    FREE,
    AllOf,
    Allowance,
    AnyOf,
    Cost,
    Drifted,
    Elapsed,
    Share,
    StopString,
    TokenBudget,
    Tokens,
    Turns,
    Until,
)
from tests.company import completion, opened, party, talk, texts

TWO = party("ann", "bob")
RING = RoundRobin(speakers=("ann", "bob"))
ANN = Share("ann")


def spent(tokens: int = 0, usd: float | None = 0.0, seconds: float = 0.0) -> Tally:
    usage = replace(NOTHING, output_tokens=tokens, cost_usd=usd)
    return Tally(usage=usage, elapsed_s=seconds)


def sampled(author: str, text: str, **more) -> Message:
    return Message(author=author, parts=(Text(text),), origin="sampled", as_of=0, **more)


def test_turns_counts_turns_and_denials_since_an_index() -> None:
    """Turn and control messages at index >= since; given messages and summaries are none."""
    denied = Message(author="bob", parts=(Signal("denied"),), audience=NOBODY)
    summary = sampled("moderator", "s", stands_for=(0, 1))
    transcript = Transcript((said("ann", "given"), sampled("ann", "x"), denied, summary))
    assert Turns(2).check(transcript, spent()) is not None
    assert Turns(3).check(transcript, spent()) is None
    assert Turns(1, since=2).check(transcript, spent()) is not None
    assert Turns(2, since=2).check(transcript, spent()) is None


def test_true_at_the_start_means_no_turn() -> None:
    """A condition that holds already stops before anybody is asked."""
    backend = Scripted(lambda _: "x")
    outcome = talk(RING, TWO, backend, until=Turns(0))
    assert (len(outcome.transcript), backend.requests) == (0, [])


def test_tokens_lands_on_its_number() -> None:
    """The last turn gets what is left, so that the total is n exactly."""
    outcome = talk(RING, TWO, Scripted(lambda _: "five words in each turn"), until=Tokens(12))
    assert outcome.tally.usage.output_tokens == 12
    assert [len(text.split()) for text in texts(outcome.transcript)] == [5, 5, 2]


def test_denied_turns_spend_tokens_too() -> None:
    """A denied turn's tokens count: a denied reply is not free."""
    kit = Kit(hooks=(Forbid(patterns=("words",)),))
    outcome = talk(RING, TWO, Scripted(lambda _: "five words in each turn"), until=Tokens(10), kit=kit)
    assert outcome.tally.denied == 2


def test_a_budget_is_shared_by_a_round() -> None:
    """Simultaneous turns get an even part each, never nothing."""
    budget = TokenBudget(per_conversation=100, per_turn=40)
    assert budget.allowance(opened(), spent(10), Share("ann", 3)).max_tokens == 30
    assert budget.allowance(opened(), spent(10), Share("ann", 2)).max_tokens == 40
    assert budget.allowance(opened(), spent(99), Share("ann", 3)).max_tokens == 1
    assert TokenBudget(per_conversation=100, floor=5).check(opened(), spent(96)) is not None
    assert TokenBudget(per_conversation=100, floor=5).check(opened(), spent(95)) is None
    assert TokenBudget(per_turn=7).check(opened(), spent(10**6)) is None


def test_no_turn_is_asked_for_zero_tokens() -> None:
    """Every request of a budgeted conversation asks for at least one token."""
    backend = Scripted(lambda _: "three words here")
    everybody = Rounds(speakers=("ann", "bob"), rounds=50)
    talk(everybody, TWO, backend, until=TokenBudget(per_conversation=20))
    assert backend.requests
    assert min(r.sampling.max_tokens for r in backend.requests) >= 1


async def test_elapsed_runs_from_the_call_and_cuts_no_turn() -> None:
    """The injected clock starts when converse is entered; a turn under way is finished."""
    clock = VirtualClock()
    await clock.advance(1000)  # time before the call does not count
    backend = Scripted(lambda _: "x", latency_s=4, clock=clock)
    outcome = await clock.run(
        converse(RING, TWO, backend, rules=Rules(until=Elapsed(10)), kit=Kit(clock=clock))
    )
    assert len(outcome.transcript) == 3
    assert outcome.tally.elapsed_s == pytest.approx(12)
    assert outcome.stop.reason.startswith("elapsed")


def test_a_stop_string_ends_the_text_right_after_it() -> None:
    """Mid-turn: the text ends after the match, the finish reason says so, and the conversation stops."""
    outcome = talk(
        RING, TWO, Scripted(lambda _: "well I concede that and more"), until=StopString(strings=("concede",))
    )
    (message,) = outcome.transcript
    assert message.text == "well I concede"
    assert message.provenance.finish_reason == "stop_string"
    assert "concede" in outcome.stop.reason


def test_a_stop_string_may_be_one_speakers() -> None:
    """With `by`, others may say it, whole; framing never counts; a wrong name is refused."""
    start = opened("Will you concede?")
    until = StopString(strings=("concede",), by="bob")
    outcome = talk(RING, TWO, Scripted(lambda _: "I concede it all"), transcript=start, until=until)
    assert texts(outcome.transcript)[1:] == ["I concede it all", "I concede"]
    with pytest.raises(InvalidInput, match="zoe"):
        talk(RING, TWO, until=StopString(strings=("x",), by="zoe"))


def test_a_case_blind_stop_string_waits_for_the_end_of_the_turn() -> None:
    """No endpoint cuts without regard to case, so the turn is finished first."""
    until = StopString(strings=("CONCEDE",), ignore_case=True)
    outcome = talk(RING, TWO, Scripted(lambda _: "I concede it all"), until=until)
    assert texts(outcome.transcript) == ["I concede it all"]
    assert StopString(strings=("x",), mid_turn=False).allowance(opened(), spent(), ANN) == FREE


def test_a_summary_cannot_say_the_stop_string() -> None:
    """Only what participants say counts; a summary that quotes it stops nothing."""
    quoted = sampled("moderator", "They may concede.", stands_for=(0, 1), audience=frozenset({"ann"}))
    assert StopString(strings=("concede",)).check(opened().append(quoted), spent()) is None


PRICED = Kit(prices={"m": Price(input=0.0, output=1e6)})  # a dollar a token


def test_cost_stops_when_spent() -> None:
    """The dollars of all turns are added up, at the kit's prices or the server's own."""
    outcome = talk(RING, TWO, Scripted(lambda _: "two words"), until=Cost(5.0), kit=PRICED)
    assert outcome.tally.usage.cost_usd == pytest.approx(6.0)
    usage = Usage(output_tokens=2, cost_usd=0.5)
    served = Scripted(lambda _: completion("two words", usage=usage))
    assert len(talk(RING, TWO, served, until=Cost(1.0), kit=PRICED).transcript) == 2


def test_an_unknown_cost_is_refused_never_free() -> None:
    """No price for a model, or earlier turns without a known cost: refused before the first turn."""
    backend = Scripted(lambda _: "x")
    with pytest.raises(InvalidInput, match="price for m"):
        talk(RING, TWO, backend, until=Cost(1.0) | Turns(9))
    earlier = talk(RING, TWO, until=Turns(1)).transcript
    with pytest.raises(InvalidInput, match="message 0"):
        talk(RING, TWO, backend, transcript=earlier, until=Cost(1.0), kit=PRICED)
    assert backend.requests == []


def test_a_cost_limit_is_seen_through_every_wrapper() -> None:
    """However deep it stands, inside a facade call's own limits too, a cost without a price is refused."""
    conversation = Conversation(TWO, protocol=RING, backend=Scripted(lambda _: "x"))
    with pytest.raises(InvalidInput, match="price for m"):
        conversation.run(turns=2, until=(Cost(1.0) & Turns(1)) | Tokens(5))
    assert len(conversation.transcript) == 0


def test_any_takes_the_smallest_allowance_and_all_strings() -> None:
    """`|` stops when one holds and limits a turn by all."""
    either = (
        Tokens(50) | TokenBudget(per_turn=20) | StopString(strings=("a", "b")) | StopString(strings=("b",))
    )
    assert isinstance(either, AnyOf)
    assert len(either.any) == 4
    assert either.allowance(opened(), spent(10), ANN) == Allowance(max_tokens=20, stop_after=("a", "b"))
    assert either.check(opened(), spent(50)) is not None


def test_all_limits_a_turn_only_when_it_is_the_last_one_missing() -> None:
    """`&` stops when all hold, and allows freely until all but one do."""
    both = Tokens(50) & Turns(2)
    assert isinstance(both, AllOf)
    one, two = opened().append(sampled("ann", "x")), opened().append(sampled("ann", "x"), sampled("bob", "y"))
    assert both.allowance(one, spent(10), ANN) == FREE
    assert both.allowance(two, spent(10), ANN) == Allowance(max_tokens=40)
    assert both.allowance(one, spent(60), ANN) == FREE
    assert both.check(one, spent(60)) is None
    assert both.check(two, spent(50)) == "tokens: 50 and turns: 2"


def test_conditions_are_values() -> None:
    """A tree of conditions survives its stored form; an empty list, which would never stop, is refused."""
    until = (Turns(6) & Elapsed(60)) | StopString(strings=("I concede",)) | Cost(2.5)
    assert decode(canonical(until), Until, "until") == until
    with pytest.raises(InvalidInput):
        decode(b'{"type": "any", "any": []}', Until, "until")


METER = DriftMeter(
    captures=(Capture(layers=(2,), reduce=Project("sha256:v"), name="warmth"),),
    reference=(Normal(mean=0, sd=1),),
    speakers=("ann",),
)


def warming() -> Scripted:
    """Each turn projects as far on the vector as there are lines to see."""

    def reply(request):
        read = (
            Readout(
                name=c.name, vector="sha256:v", layer=2, positions=(0,), values=(float(len(request.lines)),)
            )
            for c in request.captures
        )
        return completion("so", readouts=tuple(read))

    return Scripted(reply, features=frozenset({"captures"}))


def test_a_drifting_speaker_stops_the_conversation() -> None:
    """The meter's captures are asked of whom it watches and of no other; the crossing is an event after its turn."""
    backend, events = warming(), []
    done = talk(RING, TWO, backend, transcript=opened(), until=Drifted(METER) | Turns(20), events=events)
    assert done.stop.reason == "drifted: ann warmth z +5.0"
    assert {(r.speaker, len(r.captures)) for r in backend.requests} == {("ann", 1), ("bob", 0)}
    crossed = [e for e in events if isinstance(e, DriftCrossed)]
    assert [(e.speaker, e.turn, e.z, e.limit) for e in crossed] == [
        ("ann", len(done.transcript) - 1, 5.0, 3.0)
    ]
    assert isinstance(events[events.index(crossed[0]) - 1], TurnTaken)
    assert crossings(done.transcript, METER)[0].turn == crossed[0].turn


def test_meters_watch_without_stopping() -> None:
    """`Rules.meters` emits a crossing once, and a metered turn is rebuilt to the request that made it."""
    events = []
    talk(RING, TWO, warming(), transcript=opened(), until=Turns(8), meters=(METER,), events=events)
    assert len([e for e in events if isinstance(e, DriftCrossed)]) == 1
    conversation = Conversation(TWO, backend=warming())
    conversation.run(until=Drifted(METER) | Turns(4))
    for i, message in enumerate(conversation.transcript):
        if message.provenance is not None:
            assert conversation.request(i).digest == message.provenance.request


def test_a_meter_of_somebody_unknown_is_refused() -> None:
    """Before anything runs."""
    backend = warming()
    with pytest.raises(UnknownName, match="zoe"):
        talk(RING, TWO, backend, until=Drifted(replace(METER, speakers=("zoe",))))
    assert not backend.requests
