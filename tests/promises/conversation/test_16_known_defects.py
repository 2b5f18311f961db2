"""Section 16: one test for each defect of a known system that this column must not repeat, named in its docstring."""

from __future__ import annotations

import random

import pytest

from symposia.backends import Fault, Scripted
from symposia.core.capture import Capture
from symposia.core.clock import VirtualClock
from symposia.core.errors import ContextOverflow, InvalidInput, TurnFailed
from symposia.core.message import Reasoning, ToolCall, said
from symposia.core.profile import Sampling
from symposia.core.usage import NOTHING, Usage
from symposia.talk.conversation import Conversation
from symposia.talk.converse import converse
from symposia.talk.fit import DropOldest, Window
from symposia.talk.hooks import JudgeHook, MaxWords
from symposia.talk.moderated import Moderated
from symposia.talk.protocols import RoundRobin, Rounds
from symposia.talk.rules import Kit, Rules
from symposia.talk.scenario import Scenario
from symposia.talk.stop import Elapsed, StopString, Tokens, Turns
from tests.company import babble, completion, opened, party, person, talk, texts
from tests.promises.conversation.conversations import BOX

RING, ALL = RoundRobin(speakers=("ann", "bob")), Rounds(speakers=("ann", "bob"), rounds=2)
TWO = party("ann", "bob")


def test_side_by_side_turns_are_whole_turns() -> None:
    """interlens: the batched runner ignored turn policy, per-participant sampling and author names."""
    people = (
        person("ann", sampling=Sampling(temperature=0.1, max_tokens=3)),
        person("bob", sampling=Sampling(temperature=0.9, max_tokens=5)),
    )
    backend = Scripted(lambda _: "x")
    outcome = talk(ALL, people, backend)
    assert [m.author for m in outcome.transcript] == ["ann", "bob"] * 2
    assert {(r.speaker, r.sampling.temperature, r.sampling.max_tokens) for r in backend.requests} == {
        ("ann", 0.1, 3),
        ("bob", 0.9, 5),
    }


def test_one_stop_condition_serves_any_number_of_conversations() -> None:
    """interlens: clones shared a stateful stop condition."""
    until = Turns(2) | Tokens(1000)
    assert [len(talk(RING, TWO, until=until).transcript) for _ in range(3)] == [2, 2, 2]


def test_saving_keeps_everything_that_decides(tmp_path) -> None:
    """interlens: saving dropped context policy, hooks, turns and seed."""
    scenario = Scenario(
        participants=TWO,
        protocol=RING,
        until=Turns(4),
        seed=7,
        fit=DropOldest(keep=1),
        hooks=(MaxWords(n=2),),
        prompt="Go.",
    )
    whole = Conversation(scenario=scenario, backend=Scripted(babble)).run()
    begun = Conversation(scenario=scenario, backend=Scripted(babble))
    begun.run(turns=2)
    begun.save(tmp_path / "c.json")
    loaded = Conversation.load(tmp_path / "c.json", backend=Scripted(babble))
    assert loaded.scenario == scenario
    assert loaded.run() == whole


def test_a_window_obeys_the_limit_and_counts_form_and_reply() -> None:
    """interlens: its window ignored the limit, and neither markup nor the reply was counted."""
    long = talk(RING, TWO, Scripted(lambda _: "ten words " * 5), until=Turns(6)).transcript
    text_alone = -(-sum(len(m.text) for m in long[-4:]) // 3)
    people = party("ann", "bob", max_tokens=20)
    for limit, fits in ((text_alone + 20, False), (text_alone + 5 * 8 + 20 + 9, True)):
        fit = Window(last=4, limit=limit)
        if fits:
            talk(RING, people, Scripted(lambda _: "x"), transcript=long, fit=fit, until=Turns(7))
            continue
        with pytest.raises(ContextOverflow):
            talk(RING, people, Scripted(lambda _: "x"), transcript=long, fit=fit, until=Turns(7))


def test_an_unclosed_thought_is_no_text() -> None:
    """interlens: an unclosed think block leaked into the text."""
    outcome = talk(RING, TWO, Scripted(lambda _: "<think>secret plan"), until=Turns(1), on_empty="keep")
    assert outcome.transcript[0].parts == (Reasoning("secret plan"),)
    assert outcome.transcript[0].text == ""


def test_sampling_is_what_the_profile_says() -> None:
    """interlens: a checkpoint's top_k and penalties applied silently; here every knob is in the request."""
    backend = Scripted(lambda _: "x")
    talk(RING, TWO, backend, until=Turns(1))
    assert backend.requests[0].sampling == TWO[0].profile.sampling
    assert (Sampling().top_k, Sampling().top_p, Sampling().repetition_penalty) == (0, 1.0, 1.0)


def test_every_turn_has_its_own_seed_and_no_global_one() -> None:
    """interlens: the same seed each turn, and the global generator reset."""
    random.seed(3)
    state = random.getstate()
    outcome = talk(RING, TWO, until=Turns(6))
    assert len({m.provenance.seed for m in outcome.transcript}) == 6
    assert random.getstate() == state


def test_every_call_of_a_turn_is_counted() -> None:
    """interlens: only the tokens of a turn's last call were counted; here a judge's are too."""
    kit = Kit(hooks=(JudgeHook(participant="bob", question="?"),))
    backend = Scripted(lambda r: "ALLOW" if r.about.purpose == "hook" else "two words")
    outcome = talk(RING, TWO, backend, until=Turns(1), kit=kit)
    assert (outcome.tally.usage.calls, outcome.tally.usage.output_tokens) == (2, 3)


def test_the_tokens_of_every_tool_round_are_counted() -> None:
    """interlens: tokens of the last tool round only; here the turn, its messages and its budget count all of them."""
    used = [Usage(input_tokens=10, output_tokens=3), Usage(input_tokens=20, output_tokens=4)]

    def reply(request):
        if request.about.call:
            return completion("done", usage=used[1])
        call = ToolCall(id="1", name="look_up", arguments={"word": "a"})
        return completion("", "tool_calls", parts=(call,), usage=used[0])

    backend = Scripted(reply, features=frozenset({"tools"}))
    people = party("ann", tools=BOX.specs)
    outcome = talk(RoundRobin(speakers=("ann",)), people, backend, until=Tokens(7), kit=Kit(tools=BOX))
    assert outcome.tally.usage == used[0] + used[1]
    assert [m.provenance.usage for m in outcome.transcript if m.provenance] == used
    assert [r.sampling.max_tokens for r in backend.requests] == [7, 4]


def test_a_stop_string_cuts_the_turn() -> None:
    """interlens: stop strings did not act mid-turn."""
    outcome = talk(RING, TWO, Scripted(lambda _: "yes STOP and more"), until=StopString(strings=("STOP",)))
    assert texts(outcome.transcript) == ["yes STOP"]


def test_a_spent_budget_asks_for_nothing() -> None:
    """interlens: a spent budget asked for 0 tokens."""
    backend = Scripted(lambda _: "three words here")
    talk(ALL, TWO, backend, until=Tokens(4))
    assert min(r.sampling.max_tokens for r in backend.requests) >= 1


async def test_the_clock_starts_when_the_conversation_is_entered() -> None:
    """interlens: the elapsed clock started late, after the first turn."""
    clock = VirtualClock()
    backend = Scripted(lambda _: "x", latency_s=10, clock=clock)
    run = converse(RING, TWO, backend, rules=Rules(until=Elapsed(10)), kit=Kit(clock=clock))
    assert len((await clock.run(run)).transcript) == 1


def test_captures_cover_samples_and_branches() -> None:
    """interlens: captures missed `sample` and branches."""
    backend = Scripted(lambda _: "x", features=frozenset({"captures"}))
    conversation = Conversation(TWO, backend=backend)
    with conversation.capture(Capture(layers=(0,))):
        conversation.run(turns=1)
        conversation.sample("ann")
        conversation.branch().run(turns=1)
    conversation.run(turns=1)
    assert [bool(r.captures) for r in backend.requests] == [True, True, True, False]


def test_branches_share_nothing_that_changes() -> None:
    """interlens: branches shared mutable participants."""
    parent = Conversation(TWO, backend=Scripted(babble))
    parent.run(turns=2)
    before = parent.transcript.digest
    child = parent.branch().set(participants={"ann": {"system": "Be rude."}})
    child.run(turns=2)
    child.edit(0, text="changed")
    assert parent.transcript.digest == before
    assert parent["ann"].profile.system is None


def test_models_and_names_are_never_zipped_short() -> None:
    """interlens: a silent zip of models and names."""
    with pytest.raises(InvalidInput, match="one name a model"):
        Conversation.from_models(["m", "m", "m"], names=("ann", "bob"), backend=Scripted(babble))


@pytest.mark.parametrize("reply", ["", ValueError("boom: a traceback")])
def test_nothing_that_failed_becomes_text(reply) -> None:
    """interlens put "(no response)" into prompts; VERA-MH stored an exception's text as a turn."""
    with pytest.raises(TurnFailed) as caught:
        talk(RING, TWO, Scripted(lambda _: reply), transcript=opened(), until=Turns(2))
    assert caught.value.transcript == opened()


def test_the_whole_conversation_is_sent() -> None:
    """VERA-MH: only the last message was sent."""
    backend = Scripted(babble)
    outcome = talk(RING, TWO, backend, transcript=opened(), until=Turns(5))
    shown = {line.text for line in backend.requests[-1].lines}
    assert set(texts(outcome.transcript)[:-1]) <= shown


@pytest.mark.parametrize("answer", ["1", "0", "false", "the first one", "bob or carla"])
def test_an_unreadable_answer_is_no_answer(answer: str) -> None:
    """openai-420: the first integer or index 0 was taken as the answer, and bool("false") was true."""
    chair = Moderated(moderator="ann", speakers=("bob", "carla"), turns=1)
    outcome = talk(chair, party("ann", "bob", "carla"), Scripted(lambda _: answer))
    assert not outcome.stop.ok
    assert {m.author for m in outcome.transcript} == {"ann"}


def test_one_failure_does_not_lose_the_round() -> None:
    """openai-420: one failed speaker lost the round."""
    backend = Scripted(lambda _: "x", faults=(Fault(cause="timeout", speaker="ann"),))
    with pytest.raises(TurnFailed) as caught:
        talk(ALL, TWO, backend)
    assert [m.author for m in caught.value.transcript] == ["bob"]


def test_a_truncated_stream_is_not_a_finished_one() -> None:
    """LiteLLM: a truncated stream was reported as `stop`."""
    backend = Scripted(
        lambda _: "half a sentence", faults=(Fault(cause="stream_truncated", after=1, times=2),)
    )
    with pytest.raises(TurnFailed) as caught:
        talk(RING, TWO, backend, until=Turns(1))
    assert caught.value.cause == "stream_truncated"


def test_a_prompt_that_is_too_long_is_answered_with_an_error() -> None:
    """mini-sglang: an over-long prompt was never answered."""
    with pytest.raises(ContextOverflow, match="prompt has"):
        talk(
            RING, TWO, Scripted(babble, context_window=600), transcript=opened("long " * 500), until=Turns(1)
        )


def test_an_unknown_cost_is_unknown() -> None:
    """Several systems: an unknown cost was counted as zero."""
    assert (Usage(cost_usd=1.0) + Usage()).cost_usd is None
    assert (NOTHING + Usage(cost_usd=1.0)).cost_usd == 1.0
    assert talk(RING, TWO, until=Turns(1)).tally.usage.cost_usd is None
    assert said("ann", "x").provenance is None
