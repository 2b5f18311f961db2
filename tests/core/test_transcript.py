"""The transcript: immutable, sliceable, and never with an index that points at the wrong message."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symposia.core.errors import InvalidInput, UnsupportedFormat
from symposia.core.message import Message, Provenance, Reasoning, Signal, Text, ToolCall, ToolResult, said
from symposia.core.transcript import Transcript
from symposia.core.usage import Usage

MADE = Provenance(
    profile="p", request="r", completions=("c",), seed=1, cue="", usage=Usage(), finish_reason="stop"
)
NAMES = ("ann", "bob", "carla")


@st.composite
def transcripts(draw: st.DrawFn, summaries: bool = True) -> Transcript:
    """Messages that say their own position, with `as_of` in the past and summaries of earlier ranges."""
    messages: list[Message] = []
    for i in range(draw(st.integers(0, 12))):
        kind = draw(st.sampled_from(["given", "turn", "turn", "whisper", "summary", "control"]))
        author = draw(st.sampled_from(NAMES))
        text = (Text(f"#{i}"),)
        if kind == "turn":
            as_of = draw(st.integers(0, i))
            messages.append(
                Message(author=author, parts=text, origin="sampled", as_of=as_of, provenance=MADE)
            )
        elif kind == "whisper":
            heard = frozenset(draw(st.sets(st.sampled_from(NAMES), min_size=1)))
            messages.append(Message(author=author, parts=text, audience=heard))
        elif kind == "summary" and summaries and i > 1:
            start = draw(st.integers(0, i - 1))
            stop = draw(st.integers(start + 1, i))
            messages.append(Message(author=author, parts=text, stands_for=(start, stop)))
        elif kind == "control":
            messages.append(Message(author=author, parts=(Signal("denied", f"#{i}"),), audience=frozenset()))
        else:
            messages.append(Message(author=author, parts=text))
    return Transcript(tuple(messages))


def original(message: Message) -> int:
    part = message.parts[0]
    assert isinstance(part, Text | Signal)
    return int((part.text if isinstance(part, Text) else part.note).removeprefix("#"))


def covered(transcript: Transcript, message: Message) -> list[int]:
    """What a summary stands for, by original position."""
    assert message.stands_for
    return [original(m) for m in transcript.messages[slice(*message.stands_for)]]


@given(transcripts(), st.integers(-14, 14), st.integers(-14, 14), st.integers(1, 3))
def test_slices_keep_their_meaning(whole: Transcript, start: int, stop: int, step: int) -> None:
    """A slice holds those messages; a summary stays only whole, and still stands for the same messages."""
    part = whole[start:stop:step]
    kept = [original(m) for m in part]
    asked = list(range(len(whole)))[start:stop:step]
    lost = [i for i in asked if i not in kept]
    assert kept == [i for i in asked if i not in lost]
    for i in lost:
        assert whole[i].stands_for
        assert not set(covered(whole, whole[i])) <= set(kept)
    for message in part:
        if message.stands_for:
            assert covered(part, message) == covered(whole, whole[original(message)])


@given(transcripts(), st.integers(-14, 14), st.integers(-14, 14))
def test_as_of_counts_the_same_messages(whole: Transcript, start: int, stop: int) -> None:
    """In a slice, `as_of` is the number of kept messages among those the speaker saw."""
    part = whole[start:stop]
    kept = [original(m) for m in part]
    for message in part:
        before = whole[original(message)].as_of
        if before is None:
            assert message.as_of is None
        else:
            assert message.as_of == sum(i < before for i in kept)


@given(transcripts(), st.integers(0, 14))
def test_a_prefix_is_untouched(whole: Transcript, n: int) -> None:
    """The first n messages are the very same objects."""
    assert all(a is b for a, b in zip(whole.up_to(n), whole, strict=False))


@given(transcripts(summaries=False), st.integers(0, 14), st.integers(0, 14))
def test_slices_compose(whole: Transcript, a: int, b: int) -> None:
    """A slice of a slice is a slice."""
    assert whole[a:][:b] == whole[a : a + b]
    assert whole[:a][:b] == whole[: min(a, b)]


@given(transcripts())
def test_append_then_cut_back(whole: Transcript) -> None:
    """Appending changes nothing before, and nothing in place."""
    longer = whole.append(said("ann", "more"))
    assert longer.up_to(len(whole)) == whole
    assert len(longer) == len(whole) + 1
    assert longer[-1].text == "more"


@given(transcripts(), st.data())
def test_edit_touches_one_message(whole: Transcript, data: st.DataObject) -> None:
    """An edit is given, without provenance, `as_of` kept; only summaries of it, or of those, disappear."""
    if not len(whole):
        return
    at = data.draw(st.integers(0, len(whole) - 1))
    edited = whole.edit(at, text="new")
    place = {original(m): m for m in edited if m.text != "new"}
    new = next(m for m in edited if m.text == "new")
    assert (new.origin, new.provenance, new.author) == ("given", None, whole[at].author)
    assert new.is_turn() or not whole[at].is_turn() or whole[at].as_of is None
    gone = {i for i in range(len(whole)) if i != at and i not in place}
    for i in gone:
        assert whole[i].stands_for
        assert {at, *gone} & set(covered(whole, whole[i]))
    for i, message in place.items():
        assert message.parts == whole[i].parts
        if message.stands_for:
            assert at not in covered(whole, whole[i])


@given(transcripts())
def test_saving_is_complete(whole: Transcript) -> None:
    """decode(encode(t)) is t, and encodes to the same bytes."""
    raw = whole.encode()
    again = Transcript.decode(raw)
    assert again == whole
    assert again.encode() == raw
    assert again.digest == whole.digest


@given(transcripts())
def test_audience_decides(whole: Transcript) -> None:
    """A participant sees what is for everyone, for it, or its own; nobody sees control messages."""
    for name in NAMES:
        for message in whole:
            visible = message in whole.seen_by(name)
            if message.audience is None:
                assert visible
            elif not message.audience:
                assert not visible
            else:
                assert visible == (name in message.audience or name == message.author)


@given(transcripts())
def test_turns_are_turns(whole: Transcript) -> None:
    """Turn messages have an origin or an `as_of`, an audience, and no tool part."""
    for message in whole.turns(NAMES):
        assert message.origin != "given" or message.as_of is not None
        assert not message.is_control
        assert not message.has_tools


def test_an_edited_turn_is_still_a_turn() -> None:
    """Rewriting what was sampled leaves it counted as the turn it was."""
    turn = Message(author="ann", parts=(Text("x"),), origin="sampled", as_of=0, provenance=MADE)
    edited = Transcript((turn,)).edit(0, text="y")
    assert edited[0].is_turn()


def test_control_messages_count_as_turns_taken() -> None:
    """A denied turn moves a protocol on although nobody sees it."""
    control = Message(author="ann", parts=(Signal("denied"),), audience=frozenset())
    assert control.took_turn()
    assert not control.is_turn()
    assert not said("ann", "x").took_turn()


@pytest.mark.parametrize("ref", [3, -4, 100])
def test_a_bad_index_names_the_valid_range(ref: int) -> None:
    """An index outside says which ones there are."""
    whole = Transcript((said("a", "x"), said("b", "y"), said("c", "z")))
    with pytest.raises(InvalidInput, match=r"-3\.\.2"):
        whole[ref]


def test_an_empty_transcript_has_no_valid_index() -> None:
    """An index into nothing says so."""
    with pytest.raises(InvalidInput, match="no messages"):
        Transcript()[0]


def test_a_message_is_found_by_identity_first() -> None:
    """Two equal messages are two places; one that is not in the transcript is an error."""
    one, two = said("a", "x"), said("a", "x")
    whole = Transcript((one, two))
    assert (whole.index(one), whole.index(two)) == (0, 1)
    with pytest.raises(InvalidInput, match="not in the transcript"):
        whole.index(said("b", "x"))


def test_a_transcript_cannot_be_reversed() -> None:
    """A negative step is refused: order is what a transcript is."""
    with pytest.raises(InvalidInput, match="positive step"):
        Transcript((said("a", "x"),))[::-1]


def test_a_cut_never_leaves_a_trail_without_its_answer() -> None:
    """Cutting inside a tool trail rounds down to before it; rewinding to the answer keeps it whole."""
    call = Message(
        author="ann", parts=(ToolCall(id="1", name="f"),), audience=frozenset({"ann"}), origin="sampled"
    )
    result = Message(
        author="tool",
        parts=(ToolResult(id="1", name="f", text="4"),),
        audience=frozenset({"ann"}),
        origin="scripted",
    )
    answer = Message(author="ann", parts=(Text("four"),), origin="sampled", as_of=1)
    whole = Transcript((said("bob", "2+2?"), call, result, answer))
    assert [len(whole.cut(n)) for n in range(5)] == [0, 1, 1, 1, 4]
    assert whole.rewind(answer) == whole
    assert len(whole.branch(0)) == 1


def test_edit_takes_text_or_parts() -> None:
    """Both at once is refused; either replaces the parts; author and audience can change too."""
    whole = Transcript((said("a", "x", frozenset({"b"})),))
    with pytest.raises(InvalidInput, match="not both"):
        whole.edit(0, text="y", parts=())
    changed = whole.edit(0, author="c", audience=None)[0]
    assert (changed.author, changed.audience, changed.text) == ("c", None, "x")
    assert whole.edit(0, parts=(Reasoning("hm"),))[0].parts == (Reasoning("hm"),)
    assert whole.edit(0, text="y")[0].audience == frozenset({"b"})


@pytest.mark.parametrize(
    ("raw", "got"),
    [
        (b"[]", "no JSON object"),
        (b"{}", "no format field"),
        (b'{"format": "other", "version": 1, "messages": []}', "other"),
        (
            b'{"format": "symposia.transcript", "version": 2, "messages": []}',
            "version 2; a newer symposia wrote it",
        ),
        (b'{"format": "symposia.transcript", "version": 0, "messages": []}', "got version 0$"),
        (b'{"format": "symposia.transcript", "version": 1, "messages": [], "x": 1}', "unknown field `x`"),
        (
            b'{"format":"symposia.transcript","version":1,"messages":[{"author":"a","parts":[{"type":"image"}]}]}',
            "image",
        ),
    ],
)
def test_another_format_is_refused(raw: bytes, got: str) -> None:
    """A wrong format, a newer version, an unknown field or part says expected and got."""
    with pytest.raises(UnsupportedFormat, match=got):
        Transcript.decode(raw, "file.json")


def test_files_are_whole(tmp_path: Path) -> None:
    """Saving replaces the file in one step and leaves nothing beside it."""
    path = tmp_path / "deep" / "t.json"
    Transcript((said("a", "x"),)).save(path)
    Transcript((said("a", "y"),)).save(path)
    assert Transcript.load(path)[0].text == "y"
    assert [p.name for p in path.parent.iterdir()] == ["t.json"]


def test_rendering_shows_what_everyone_may_read() -> None:
    """Plain and Markdown text show the words; reasoning, tools and control messages only when asked for."""
    whole = Transcript(
        (
            said("ann", "hello"),
            Message(author="bob", parts=(Reasoning("hm"), Text("hi")), audience=frozenset({"ann"})),
            Message(author="bob", parts=(Signal("denied", "judge"),), audience=frozenset()),
        )
    )
    assert str(whole) == "[0] ann: hello\n[1] bob (to ann): hi"
    assert whole.render(hidden=True).splitlines()[-1] == "[2] bob: (denied) judge"
    assert "(thinks) hm" in whole.render(hidden=True)
    assert whole.render("markdown").startswith("**ann**\n\nhello\n\n**bob** (to ann)")


def test_openai_messages_are_one_participants_view() -> None:
    """Own words are the assistant's, others' carry their name, own calls and results are native."""
    own = frozenset({"ann"})
    whole = Transcript(
        (
            said("system", "rules"),
            said("bob", "2+2?"),
            Message(author="ann", parts=(ToolCall(id="1", name="f", arguments={"x": 2}),), audience=own),
            Message(author="tool", parts=(ToolResult(id="1", name="f", text="4"),), audience=own),
            said("ann", "four"),
            said("carla", "psst", frozenset({"bob"})),
            Message(author="ann", parts=(Signal("score"),)),
        )
    )
    assert whole.to_openai("ann") == [
        {"role": "system", "content": "rules"},
        {"role": "user", "name": "bob", "content": "2+2?"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"x":2}'}}
            ],
        },
        {"role": "tool", "tool_call_id": "1", "content": "4"},
        {"role": "assistant", "content": "four"},
    ]
    assert [m["role"] for m in whole.to_openai("bob")] == ["system", "assistant", "user", "user"]
