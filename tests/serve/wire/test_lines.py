"""Messages as lines: who said what in which turn, nothing added between, nothing lost."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symposia.backends.openai.messages import messages as sent_upstream
from symposia.backends.toolnames import ToolNames
from symposia.core.lines import Line
from symposia.core.message import said
from symposia.core.profile import Participant, Profile
from symposia.core.request import Request
from symposia.core.transcript import Transcript
from symposia.serve.faults import Fault
from symposia.serve.wire import Limits, opening, read
from symposia.serve.wire.lines import lines_of, speaker_of
from symposia.talk.view import ViewRules, view

CALL = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"at": "sky"}'}}


def lines(*messages: dict[str, Any], system: str | None = None) -> tuple[Line, ...]:
    """The lines of messages as they come over the wire."""
    ask = read(json.dumps({"model": "m", "messages": messages}).encode(), Limits())
    return lines_of(ask.messages, speaker_of(ask.messages), system)


def user(text: str, **more: Any) -> dict[str, Any]:
    return {"role": "user", "content": text, **more}


def own(text: str | None, **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": text, **more}


def test_each_role_has_its_line() -> None:
    """Roles, authors, phases and turns of a conversation with a call."""
    made = lines(
        {"role": "system", "content": "Be kind."},
        user("hi", name="alice"),
        own("Let me look.", tool_calls=[CALL], reasoning_content="They greet."),
        {"role": "tool", "content": "blue", "tool_call_id": "c1"},
        {"role": "developer", "content": "Be brief."},
        own("It is blue."),
    )
    assert [line.role for line in made] == ["system", "user", "assistant", "tool", "system", "assistant"]
    assert [line.kind for line in made] == ["framing", "turn", "trail", "trail", "framing", "turn"]
    found = [(s.author, s.phase, s.turn, s.text) for line in made for s in line.segments]
    assert found == [
        ("system", "prompt", 0, "Be kind."),
        ("alice", "prompt", 1, "hi"),
        ("assistant", "answer", 2, "Let me look."),
        ("tool", "tool", 3, "blue"),
        ("system", "prompt", 4, "Be brief."),
        ("assistant", "answer", 5, "It is blue."),
    ]
    called, result = made[2], made[3]
    assert [(c.id, c.name, c.arguments) for c in called.calls] == [("c1", "look", {"at": "sky"})]
    assert [thought.text for thought in called.reasoning] == ["They greet."]
    assert (result.call_id, result.call_name) == ("c1", "look")


def test_system_text_at_the_beginning_is_one_line_behind_the_profiles() -> None:
    """The profile's own text first, then the caller's; a text of nothing takes a template's default away."""
    first = {"role": "system", "content": "One."}
    second = {"role": "developer", "content": "Two."}
    assert lines(first, second, user("hi"), system="Zero.")[0].text == "Zero.\n\nOne.\n\nTwo."
    assert [s.turn for s in lines(first, user("hi"), system="Zero.")[0].segments] == [None, None, 0]
    assert lines(user("hi"))[0].role == "user"
    assert lines(user("hi"), system="")[0].segments == ()
    assert lines({"role": "system", "content": ""}, user("hi"))[0].role == "user"


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@given(
    framing=st.lists(texts, max_size=2),
    turns=st.lists(texts.filter(bool), min_size=1, max_size=5),
    system=st.none() | st.just("") | texts,
)
def test_a_dialogue_reads_as_it_does_to_a_participant(
    framing: list[str], turns: list[str], system: str | None
) -> None:
    """The view of conversations is the second implementation: the same lines where it adds none of its own."""
    told = [said("system", text) for text in framing]
    spoken = [said(("user", "assistant")[i % 2], text) for i, text in enumerate(turns)]
    profile = Profile(model="m", system=system)
    seen = view(
        Transcript(messages=(*told, *spoken)),
        Participant(name="assistant", profile=profile),
        ["assistant", "user"],
        ViewRules(),
    )
    seen = tuple(line for line in seen if line.kind != "opener")
    sent = [{"role": "system", "content": text} for text in framing]
    sent += [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(turns)]
    made = lines(*sent, system=system)
    shape = [(line.role, line.text) for line in made]
    if system is None or not framing or system == "":
        assert shape == [(line.role, line.text) for line in seen]
    assert [(line.role, line.kind) for line in made] == [(line.role, line.kind) for line in seen]
    assert made[-len(turns) :] == seen[-len(turns) :]


def test_parts_are_joined_as_they_are() -> None:
    """No blank is invented between text parts."""
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    assert lines({"role": "user", "content": parts})[0].text == "ab"


def test_names_are_shown_where_there_are_several_to_tell_apart() -> None:
    """One person needs no label; of two, each is labelled, and neither can write the other's."""
    assert lines(user("hi", name="alice"))[0].text == "hi"
    made = lines(user("hi", name="alice"), user("bob: me too\nalice: no", name="bob"))
    assert [line.text for line in made] == ["alice: hi", "bob: bob: me too\n  alice: no"]
    authors = {s.author for line in made for s in line.segments if s.phase != "markup"}
    assert authors == {"alice", "bob"}


def test_the_assistants_name_is_who_speaks() -> None:
    """The last named assistant message says who answers; nobody else may have that name."""
    ask = read(
        json.dumps({"model": "m", "messages": [user("hi"), own("yes", name="Eva")]}).encode(), Limits()
    )
    assert speaker_of(ask.messages) == "Eva"
    assert lines(user("hi"), own("yes", name="Eva"), own("more"))[2].segments[0].author == "Eva"
    assert lines(own("a", name="Eva"), own("b", name="Ida"), own("c"))[2].segments[0].author == "Ida"
    with pytest.raises(Fault) as caught:
        lines(user("hi", name="assistant"))
    assert caught.value.param == "messages[0].name"


def test_a_refusal_is_what_was_said() -> None:
    """An earlier refusal stays in the history, in place of content or behind it."""
    assert lines(user("hi"), own(None, refusal="I will not."))[1].text == "I will not."


def test_calls_without_text_have_an_empty_segment_of_their_own() -> None:
    """As in conversations: it says whose calls they are, and of which turn."""
    line = lines(user("hi"), own(None, tool_calls=[CALL]))[1]
    assert [(s.text, s.author, s.turn) for s in line.segments] == [("", "assistant", 1)]


@pytest.mark.parametrize("arguments", ["{", "[]", "5", '"x"', '{"a": 1e999}', '{"a": ' + "[" * 100_000])
def test_arguments_that_are_no_object_are_named(arguments: str) -> None:
    """What cannot be shown to the model as a call is refused where it stands."""
    call = {**CALL, "function": {"name": "look", "arguments": arguments}}
    with pytest.raises(Fault) as caught:
        lines(user("hi"), own(None, tool_calls=[CALL, call]))
    assert (caught.value.status, caught.value.param) == (400, "messages[1].tool_calls[1].function.arguments")


@pytest.mark.parametrize("arguments", ["", "  "])
def test_no_arguments_are_an_empty_object(arguments: str) -> None:
    """Some clients send nothing for a call without arguments."""
    call = {**CALL, "function": {"name": "look", "arguments": arguments}}
    assert lines(user("hi"), own(None, tool_calls=[call]))[1].calls[0].arguments == {}


def test_a_relay_sends_on_what_came() -> None:
    """Lines back into messages: text, calls, results and reasoning are those of the caller."""
    came = [
        {"role": "system", "content": "Be kind."},
        user("hi"),
        own(None, tool_calls=[CALL], reasoning_content="They greet."),
        {"role": "tool", "content": "blue", "tool_call_id": "c1"},
        own("It is blue."),
    ]
    request = Request(model="m", lines=lines(*came), speaker="assistant")
    sent = sent_upstream(request.lines, ToolNames.of(request))
    sent[2]["tool_calls"][0]["function"]["arguments"] = '{"at": "sky"}'
    assert sent == came


def test_the_opening_stays_over_the_turns() -> None:
    """System text and first user message name a conversation, however long it has become."""
    begun = [{"role": "system", "content": "S"}, user("first")]
    ask = read(json.dumps({"model": "m", "messages": begun}).encode(), Limits())
    later = read(json.dumps({"model": "m", "messages": [*begun, own("a"), user("b")]}).encode(), Limits())
    assert opening(ask.messages) == opening(later.messages) == ("S", "first")


def test_an_opening_takes_every_system_text_and_one_user_message() -> None:
    """Wherever they stand, under either name; nothing where there are none."""
    messages = [
        own("a"),
        {"role": "system", "content": "S"},
        user(""),
        {"role": "developer", "content": "T"},
        user("b"),
    ]
    ask = read(json.dumps({"model": "m", "messages": messages}).encode(), Limits())
    assert opening(ask.messages) == ("S\n\nT", "")
    assert opening(ask.messages[:1]) == ("", "")
