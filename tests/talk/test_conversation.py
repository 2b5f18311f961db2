"""The facade: running, stepping, sampling, branching, editing, on a backend that shows what it was asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from symposia.backends import Fault, Scripted
from symposia.core.capture import ActivationRef, Capture
from symposia.core.errors import (
    ConversationBusy,
    InvalidInput,
    TurnFailed,
    UnknownName,
    UnsupportedRequest,
)
from symposia.core.intervention import Add
from symposia.core.message import Message, said
from symposia.core.request import Completion, Delta, Request
from symposia.core.transcript import Transcript
from symposia.talk.conversation import Conversation
from symposia.talk.hooks import Forbid
from symposia.talk.protocols import Once, RoundRobin, Rounds
from symposia.talk.rules import Kit
from symposia.talk.scenario import Scenario
from symposia.talk.stop import Tokens
from tests.company import babble, completion, party, person


def conversation(**fields: object) -> Conversation:
    return Conversation(party("ann", "bob"), backend=Scripted(babble), **fields)  # type: ignore[arg-type]


def test_running_twice_two_turns_is_running_four() -> None:
    """run(2); run(2) leaves the transcript run(4) leaves."""
    twice, once = conversation(), conversation()
    twice.run(2)
    twice.run(2)
    assert twice.transcript == once.run(4)


def test_a_run_that_nothing_ends_is_refused() -> None:
    """A RoundRobin without a limit does not start."""
    with pytest.raises(InvalidInput, match="nothing ends this run"):
        conversation().run()


def test_a_prompt_is_said_by_the_last_participant_and_the_first_answers() -> None:
    """`prompt` comes from the last participant, so the first speaks."""
    talk = conversation()
    talk.run(1, prompt="Hello?")
    assert [m.author for m in talk.transcript] == ["bob", "ann"]


def test_first_speaks_first_whoever_spoke_last() -> None:
    """`first` overrides the ring once, then the ring goes on."""
    talk = conversation()
    talk.run(2)
    talk.run(3, first="bob")
    assert [m.author for m in talk.transcript][2:] == ["bob", "ann", "bob"]


def test_first_needs_a_ring() -> None:
    """`first` is refused for a protocol that has no ring."""
    talk = conversation(protocol=Rounds(speakers=("ann", "bob"), rounds=1))
    with pytest.raises(InvalidInput, match="RoundRobin"):
        talk.run(1, first="bob")


def test_step_takes_one_turn_and_names_go_by_index_and_value() -> None:
    """A speaker is a name, an index or a participant."""
    talk = conversation()
    spoke = [talk.step("bob"), talk.step(0), talk.step(talk["bob"]), talk.step()]
    assert [m.author for m in spoke if m] == ["bob", "ann", "bob", "ann"]
    with pytest.raises(UnknownName, match="ann, bob"):
        talk.step("carla")


def test_a_denied_step_gives_none_and_the_turn_counts() -> None:
    """A hook's denial commits a control message and `step` returns None."""
    talk = conversation(kit=Kit(hooks=(Forbid(patterns=(".",)),)))
    assert talk.step() is None
    assert talk.transcript[-1].is_control


def test_sampling_leaves_the_transcript_and_varies_reproducibly() -> None:
    """`sample` never touches the transcript; its k-th draw is its own and the script reproduces."""
    first, second = conversation(), conversation()
    first.run(2)
    second.run(2)
    before = first.transcript.digest
    drawn = [first.sample("ann"), first.sample("ann")]
    again = second.sample("ann", n=2)
    assert first.transcript.digest == before
    assert isinstance(again, tuple)
    assert [m.text for m in drawn if isinstance(m, Message)] == [m.text for m in again]
    assert again[0].text != again[1].text


def test_sample_all_asks_everybody_from_one_view() -> None:
    """Every participant answers the same transcript, and nobody hears another's answer."""
    talk = conversation()
    replies = talk.sample_all("What now?")
    assert set(replies) == {"ann", "bob"}
    assert {m.as_of for m in replies.values()} == {1}
    assert len(talk.transcript) == 0


def test_a_fresh_branch_differs_and_a_twin_repeats() -> None:
    """`branch()` has other randomness, `branch(fresh=False)` repeats the parent; the parent stays as it was."""
    talk = conversation()
    talk.run(4)
    kept = talk.transcript.digest
    fresh, twin = talk.branch(1), talk.branch(1, fresh=False)
    assert len(fresh) == len(twin) == 2
    assert twin.step() == talk.transcript[2]
    assert fresh.step() != talk.transcript[2]
    assert talk.transcript.digest == kept


def test_branches_of_one_point_differ_from_each_other() -> None:
    """Two fresh branches have two ids, hence two continuations."""
    talk = conversation()
    talk.run(2)
    one, two = talk.branch(), talk.branch()
    assert one.branch_id != two.branch_id
    assert one.run(2) != two.run(2)


def test_rewind_edit_reset_and_say_change_the_holder_only() -> None:
    """They replace the transcript; the old value is still whole in the caller's hands."""
    talk = conversation()
    before = talk.run(3)
    talk.edit(1, text="I said something else.")
    assert talk.transcript[1].text == "I said something else."
    assert talk.transcript[1].origin == "given"
    talk.rewind(0)
    assert len(talk) == 1
    talk.say("bob", "psst", frozenset({"ann"}))
    assert talk.transcript[-1].audience == {"ann"}
    talk.reset()
    assert len(talk) == 0
    assert len(before) == 3


def test_set_goes_deep_and_copies() -> None:
    """`set` changes one field of one participant in a copy that keeps the seeds; unknown names list the valid ones."""
    talk = conversation()
    hot = talk.set(participants={"ann": {"sampling": {"temperature": 0.3}}})
    assert hot["ann"].profile.sampling.temperature == 0.3
    assert talk["ann"].profile.sampling.temperature == 1.0
    assert hot.id == talk.id
    with pytest.raises(UnknownName, match="shared_context"):
        talk.set(shared_contexts="x")
    with pytest.raises(UnknownName, match="interventions"):
        talk.set(participants={"ann": {"steering": ()}})


def test_a_failed_run_keeps_the_turns_before_it() -> None:
    """What was said before a failure stays in the conversation."""
    backend = Scripted(babble, faults=(Fault(cause="connection", turn=2),))
    talk = Conversation(party("ann", "bob"), backend=backend)
    with pytest.raises(TurnFailed) as failed:
        talk.run(4)
    assert len(talk.transcript) == len(failed.value.transcript) == 2
    assert len(talk.run(2)) == 4


def test_call_time_interventions_reach_the_request_and_the_profile_digest() -> None:
    """An intervention given to `step` is refused by a backend that cannot apply it, before anything is asked."""
    talk = conversation()
    with pytest.raises(UnsupportedRequest, match="interventions"):
        talk.step("ann", interventions=[Add(vector="sha256:00", layers=(1,))])
    able = Conversation(party("ann", "bob"), backend=Scripted(babble, features=frozenset({"interventions"})))
    plain, steered = (
        able.sample("ann"),
        able.sample("ann", interventions=[Add(vector="sha256:00", layers=(1,))]),
    )
    assert isinstance(plain, Message)
    assert isinstance(steered, Message)
    assert plain.provenance is not None
    assert steered.provenance is not None
    assert plain.provenance.profile != steered.provenance.profile
    assert steered.provenance.interventions == (Add(vector="sha256:00", layers=(1,)),)


def test_every_request_is_rebuilt_whatever_the_call_asked_for() -> None:
    """request(ref) has the stored digest, also for capped, captured, steered and branched turns."""
    features = frozenset({"captures", "logprobs", "interventions"})
    talk = Conversation(
        (person("ann", max_tokens=40), person("bob")), backend=Scripted(babble, features=features)
    )
    talk.run(2, prompt="Well?", until=Tokens(50))
    talk.step("ann", max_tokens=3, logprobs=2, captures=[Capture(layers=(0,))])
    talk.step("bob", interventions=[Add(vector="sha256:00", layers=(1,))])
    branch = talk.branch()
    branch.run(2)
    for message in branch.transcript:
        if message.provenance is not None:
            assert branch.request(message).digest == message.provenance.request
    with pytest.raises(InvalidInput, match="no request made it"):
        talk.request(0)


def test_the_next_request_is_the_one_a_step_makes() -> None:
    """Nothing is asked and nothing changes; the step that follows stores its digest."""
    backend = Scripted(babble)
    talk = Conversation(party("ann", "bob"), backend=backend)
    talk.run(2, prompt="Well?")
    asked, before = len(backend.requests), talk.transcript
    request = talk.next_request("bob")
    assert (len(backend.requests), talk.transcript) == (asked, before)
    message = talk.step("bob")
    assert message is not None
    assert message.provenance is not None
    assert message.provenance.request == request.digest


def test_capture_collects_over_steps_samples_and_branches_and_nests() -> None:
    """A capture block reads every generation inside it, on branches too, and nothing after it."""
    ref = ActivationRef(
        record="r",
        digest="sha256:1",
        site="resid_post",
        layer=0,
        shape=(1, 2),
        dtype="float32",
        runs=((0, 1),),
    )

    def reply(request: Request) -> Completion:
        return completion("words", activations=(ref,) * len(request.captures))

    talk = Conversation(party("ann", "bob"), backend=Scripted(reply, features=frozenset({"captures"})))
    with talk.capture(Capture(layers=(0,))) as outer:
        talk.step()
        with talk.capture(Capture(layers=(1,))) as inner:
            talk.sample("bob")
            talk.branch().step()
        talk.step()
    talk.step()
    assert (len(outer.completions), len(inner.completions)) == (4, 2)
    assert len(inner.activations) == 4


def test_streaming_gives_pieces_then_messages() -> None:
    """`stream` gives each turn's deltas, then its message; their texts agree."""
    talk = Conversation(party("ann", "bob"), backend=Scripted(babble, chunk=3))

    async def collect() -> list[Delta | Message]:
        return [item async for item in talk.stream(turns=2)]

    items = asyncio.run(collect())
    spoken = "".join(i.text for i in items if isinstance(i, Delta))
    assert spoken == "".join(m.text for m in talk.transcript)
    assert sum(isinstance(i, Message) for i in items) == 2


class Stuck:
    """A backend that never answers, and says when it is asked and when it is let go."""

    def __init__(self) -> None:
        self.asked, self.closed = asyncio.Event(), asyncio.Event()
        self._inner = Scripted(babble)
        self.describe, self.render = self._inner.describe, self._inner.render

    async def generate(self, request: Request) -> AsyncIterator[Delta | Completion]:
        self.asked.set()
        try:
            await asyncio.Event().wait()
            yield Delta(text="never")
        finally:
            self.closed.set()


def test_a_second_run_at_once_is_busy_and_leaving_a_stream_cancels() -> None:
    """A conversation generates once at a time; closing its stream cancels the call and frees it."""
    backend = Stuck()
    talk = Conversation(party("ann", "bob"), backend=backend)

    async def scene() -> None:
        task = asyncio.ensure_future(talk.arun(1))
        await backend.asked.wait()
        with pytest.raises(ConversationBusy):
            await talk.arun(1)
        with pytest.raises(ConversationBusy):
            talk.say("ann", "me too")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(scene())
    assert backend.closed.is_set()
    assert len(talk.transcript) == 0
    talk.say("ann", "free again")


def test_sync_calls_work_inside_a_running_loop() -> None:
    """The portal runs the call on its own loop, so a notebook's loop does not matter."""

    async def cell() -> Transcript:
        return conversation().run(2)

    assert asyncio.run(cell()) == conversation().run(2)


def test_from_models_wants_as_many_names_as_models() -> None:
    """Models and names are never silently zipped to the shorter."""
    with pytest.raises(InvalidInput, match="expected one name a model: 2; got 1"):
        Conversation.from_models(["m", "m"], names=["ann"], backend=Scripted(babble))
    talk = Conversation.from_models(["m", "m"], shared_context="Topic", prompt="Go", backend=Scripted(babble))
    assert [(m.author, m.text) for m in talk.transcript] == [("moderator", "Topic"), ("b", "Go")]


def test_a_protocol_that_stops_needs_no_limit() -> None:
    """A protocol with its own end runs to it, and `stopped` says why."""
    talk = conversation(protocol=Once(speaker="bob"))
    talk.run()
    assert [m.author for m in talk.transcript] == ["bob"]
    assert talk.stopped is not None
    assert talk.stopped.reason == "once"


def test_bad_scenarios_are_refused_when_made() -> None:
    """Duplicate names, reserved names, unknown speakers and empty rosters never reach a backend."""
    with pytest.raises(InvalidInput, match="unique"):
        Conversation(party("ann", "ann"), backend=Scripted(babble))
    with pytest.raises(InvalidInput, match="reserved"):
        Conversation(party("tool", "ann"), backend=Scripted(babble))
    with pytest.raises(InvalidInput, match="at least one participant"):
        Conversation((), backend=Scripted(babble))
    with pytest.raises(InvalidInput, match="'carla', who is not a participant"):
        Conversation(
            party("ann", "bob"), protocol=RoundRobin(speakers=("ann", "carla")), backend=Scripted(babble)
        )


def test_usage_adds_up_by_author() -> None:
    """usage() has each author's total and the whole."""
    talk = conversation(scenario=Scenario(participants=party("ann", "bob"), opening=(said("bob", "hi"),)))
    talk.run(3)
    used = talk.usage()
    assert used["total"].calls == 3
    assert used["ann"].output_tokens + used["bob"].output_tokens == used["total"].output_tokens


def test_a_plain_function_may_say_when_to_stop() -> None:
    """`until` takes a function of transcript and tally; its reason is the stop's."""
    talk = conversation()
    talk.run(until=lambda transcript, tally: "three" if tally.turns == 3 else None)
    assert len(talk) == 3
    assert talk.stopped is not None
    assert talk.stopped.reason == "three"
