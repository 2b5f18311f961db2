"""One turn: what a reply becomes, and when it becomes nothing."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from symposia.backends import Scripted
from symposia.core.errors import InvalidInput, TurnFailed, UnsupportedRequest
from symposia.core.events import ConversationStopped, GenerationFailed, TurnLost, TurnTaken
from symposia.core.message import NOBODY, Reasoning, Signal, Text, ToolCall, ToolResult
from symposia.core.profile import Sampling
from symposia.core.span import Span
from symposia.core.toolspec import ToolSpec
from symposia.talk.moderated import Moderated
from symposia.talk.protocols import Once, RoundRobin, Stop, Turn
from symposia.talk.rules import Kit, Reading
from symposia.talk.stop import Turns
from tests.company import completion, of, opened, party, person, talk, texts

TWO = party("ann", "bob")
ONCE = Once(speaker="ann")


def one(reply, *, people=TWO, events=None, kit=Kit(), **rules):
    """Ann's single turn, answered by `reply`."""
    backend = reply if isinstance(reply, Scripted) else Scripted(lambda _: reply)
    return talk(ONCE, people, backend, transcript=opened(), events=events, kit=kit, **rules)


def failed(reply, **rules) -> TurnFailed:
    events = []
    with pytest.raises(TurnFailed) as caught:
        one(reply, events=events, **rules)
    assert caught.value.transcript == opened()
    assert of(events, TurnTaken) == []
    assert of(events, TurnLost)[0].cause == of(events, ConversationStopped)[0].reason == caught.value.cause
    assert of(events, ConversationStopped)[0].tally.failures == ((caught.value.cause, 1),)
    return caught.value


def test_a_turn_is_one_sampled_message_with_its_provenance() -> None:
    """Author, text, origin, as_of; profile, request, seed, usage and finish reason beside it."""
    outcome = one("Hello.")
    message = outcome.transcript[-1]
    assert (message.author, message.text, message.origin, message.as_of) == ("ann", "Hello.", "sampled", 1)
    made = message.provenance
    assert made.request.startswith("sha256:")
    assert made.profile.startswith("sha256:")
    assert made.usage.calls == 1
    assert outcome.stop == Stop("once")


@pytest.mark.parametrize(
    "reply", ["", "  \n", "<think>only a thought</think>", "<think>never closed", "ann: "]
)
def test_an_empty_reply_fails_the_turn(reply: str) -> None:
    """No text, white space, a thought alone, an own label alone: empty_reply, and nothing is committed."""
    assert failed(reply).cause == "empty_reply"


def test_an_empty_reply_may_be_kept() -> None:
    """`on_empty="keep"` commits the turn without text; no view shows a line for it."""
    outcome = one("<think>hm", on_empty="keep")
    assert outcome.transcript[-1].parts == (Reasoning("hm"),)
    assert outcome.tally.turns == 1


@pytest.mark.parametrize("reason", ["refusal", "content_filter"])
def test_a_refusal_is_flagged_or_fails(reason: str) -> None:
    """With text it is committed and flagged; without text it fails by its own cause, even if empty turns are kept."""
    assert one(completion("I cannot say.", reason)).transcript[-1].provenance.finish_reason == reason
    assert failed(completion("", reason)).cause == reason
    assert failed(completion("", reason), on_empty="keep").cause == reason


def test_a_cut_reply_is_flagged_or_fails() -> None:
    """`length` is kept and flagged; with `on_length="fail"` the turn fails."""
    people = party("ann", "bob", max_tokens=2)
    assert one("one two three", people=people).transcript[-1].provenance.finish_reason == "length"
    assert failed("one two three", people=people, on_length="fail").cause == "length"


def test_an_own_label_is_removed_and_noted() -> None:
    """A reply that begins with its author's name loses it; another's name stays, for the view to guard."""
    message = one("ann: Hello. ann: hm").transcript[-1]
    assert message.text == "Hello. ann: hm"
    assert message.provenance.notes == ("label_stripped",)
    assert message.provenance.original == message.provenance.completions[0]
    assert one("bob: Hello.").transcript[-1].text == "bob: Hello."


def test_ids_are_kept_only_for_a_text_that_stands_as_sampled() -> None:
    """The answer's ids are stored when nothing changed it, and not after a label was removed."""
    spans = (
        Span(start=0, stop=2, role="user", phase="prompt"),
        Span(start=2, stop=4, role="assistant", phase="answer", generated=True),
        Span(start=4, stop=5, role="assistant", phase="markup", generated=True),
    )
    ids = {"prompt_token_ids": (1, 2), "token_ids": (7, 8, 9), "spans": spans}
    assert one(completion("Hello.", **ids)).transcript[-1].provenance.token_ids == (7, 8)
    assert one(completion("ann: Hello.", **ids)).transcript[-1].provenance.token_ids == ()


def test_parts_from_the_backend_are_taken_as_they_are() -> None:
    """A completion that brings parts is not parsed again."""
    parts = (Reasoning("hm", opaque="signed"), Text("<think>quoted</think>"))
    assert one(completion("raw", parts=parts)).transcript[-1].parts == parts


def reading(text: str, **more):
    return Kit(readers={"ann": lambda completion: Reading(text=text, **more)})


def test_a_reader_replaces_the_text_and_adds_signals() -> None:
    """The reader's text is committed with its signals; the completion it changed is named."""
    message = one("Hello. SCORE 3", kit=reading("Hello.", signals=(Signal("score", "3"),))).transcript[-1]
    assert message.parts == (Text("Hello."), Signal("score", "3"))
    assert message.provenance.original is not None


def test_a_reader_may_discard() -> None:
    """`discard` commits a control message with the signals, which counts as the turn."""
    outcome = one("garbage", kit=reading("", signals=(Signal("skip"),), discard=True))
    record = outcome.transcript[-1]
    assert (record.audience, record.parts) == (NOBODY, (Signal("skip"),))
    assert outcome.stop == Stop("once")


def test_a_reader_that_raises_fails_the_turn() -> None:
    """A bug in a reader is hook_error."""

    def broken(completion):
        raise KeyError("bug")

    assert failed("Hello.", kit=Kit(readers={"ann": broken})).cause == "hook_error"


def test_a_scripted_line_needs_no_call() -> None:
    """`say` commits a scripted message and asks no backend."""

    class Says:
        def next(self, transcript):
            return Stop("said") if len(transcript) > 1 else (Turn(speaker="ann", say="Welcome."),)

    backend = Scripted(lambda _: "x")
    outcome = talk(Says(), TWO, backend, transcript=opened())
    assert (outcome.transcript[-1].origin, outcome.transcript[-1].text) == ("scripted", "Welcome.")
    assert backend.requests == []


SPEC = ToolSpec(name="pick", description="Pick.", parameters={"type": "object"})


class Forcing:
    def next(self, transcript):
        return Stop("asked") if len(transcript) > 1 else (Turn(speaker="ann", force=SPEC),)


def test_a_forced_call_is_a_trail_its_speaker_alone_sees() -> None:
    """The call and its acknowledgement are committed together, for the speaker only, and count as no turn."""
    backend = Scripted(lambda _: {"who": "bob"}, features=frozenset({"force"}))
    outcome = talk(Forcing(), TWO, backend, transcript=opened())
    call, result = outcome.transcript[1:]
    assert isinstance(call.parts[0], ToolCall)
    assert isinstance(result.parts[0], ToolResult)
    assert call.audience == result.audience == frozenset({"ann"})
    assert outcome.tally.turns == 0


def test_a_forced_call_answered_in_text_is_asked_again_by_the_moderator() -> None:
    """Text where a call was demanded is an unreadable choice, not a lost conversation."""
    chair = Moderated(moderator="ann", speakers=("bob", "carla"), turns=1, by="force")
    answers = iter(["I prefer Bob.", {"name": "bob"}])
    backend = Scripted(lambda r: next(answers) if r.force else "hi", features=frozenset({"force"}))
    outcome = talk(chair, party("ann", "bob", "carla"), backend)
    assert outcome.stop == Stop("moderated: 1 turns")
    assert texts(outcome.transcript) == ["I prefer Bob.", "", "", "hi"]
    assert outcome.transcript[0].audience == frozenset({"ann"})


def test_moderated_talk_works_by_choices_and_ties_choose_nobody() -> None:
    """Scored names decide; a reply that favours none is asked again, then the conversation stops as unreadable."""
    chair = Moderated(moderator="ann", speakers=("bob", "carla"), turns=2, by="choices")
    people, scored = party("ann", "bob", "carla"), frozenset({"choices"})
    picks = Scripted(lambda r: "carla" if r.choices else "hi", features=scored)
    assert [m.author for m in talk(chair, people, picks).transcript] == ["ann", "carla"] * 2
    dumb = talk(chair, people, Scripted(lambda r: "hm", features=scored))
    assert dumb.stop == Stop("unreadable_choice", ok=False)
    assert {m.author for m in dumb.transcript} == {"ann"}


def test_a_lacking_feature_reaches_the_caller_as_it_is() -> None:
    """A refused request is not a failed turn: UnsupportedRequest, before any delta."""
    backend = Scripted(lambda _: "x")
    with pytest.raises(UnsupportedRequest):
        talk(Forcing(), TWO, backend)
    assert backend.requests == []


@pytest.mark.parametrize(
    ("syntax", "text"),
    [
        ("mistral", 'Ok.[TOOL_CALLS][{"name": "pick", "arguments": {"who": "bob"}, "id": "abcdefghi"}]'),
        ("harmony", '<|channel|>commentary<|message|>Ok.<|end|> to=functions.pick<|message|>{"who": "bob"}'),
        ("llama_list", "Ok.<|python_tag|>[pick(who='bob')]"),
    ],
)
def test_a_call_is_read_in_the_models_syntax_while_it_streams(syntax, text) -> None:
    """What a listener is shown as answer holds nothing of the call, and the message holds the call."""

    class Spelled(Scripted):
        async def describe(self, model):
            return replace(await super().describe(model), syntax=syntax)

    shown = []
    backend = Spelled(lambda _: completion(text, syntax=syntax), chunk=3, features=frozenset({"force"}))
    kit = Kit(listen=lambda _, delta: shown.append(delta))
    outcome = talk(Forcing(), TWO, backend, transcript=opened(), kit=kit)
    assert "".join(d.text for d in shown if d.phase == "answer") == "Ok."
    said, call = outcome.transcript[1].parts
    assert (said, call.name, call.arguments) == (Text("Ok."), SPEC.name, {"who": "bob"})


def test_an_error_of_the_backend_that_is_not_ours_is_engine_error() -> None:
    """A crash below is a failed turn with a cause and an event of its own, not a stray exception."""
    events = []
    with pytest.raises(TurnFailed) as caught:
        one(ZeroDivisionError("bug"), events=events)
    assert caught.value.cause == "engine_error"
    assert of(events, GenerationFailed)[0].cause == "engine_error"


def test_settings_that_cannot_work_are_refused_at_once() -> None:
    """Tools nobody runs, a turn of no tokens, an unknown summariser: InvalidInput, nothing generated."""
    backend = Scripted(lambda _: "x")
    for people in (
        (person("ann", tools=(SPEC,)), person("bob")),
        (person("ann", sampling=Sampling(max_tokens=0)), person("bob")),
        party("ann", "ann"),
        party("moderator"),
    ):
        with pytest.raises(InvalidInput):
            talk(RoundRobin(speakers=("ann",)), people, backend, until=Turns(1))
    assert backend.requests == []
