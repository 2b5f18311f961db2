"""Fields of a server's replies that no value of ours holds: each is named, and costs the reply nothing."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from symposia.backends.openai.chunks import Chunk, decode
from symposia.backends.openai.unread import MOST_NAMED, Reading, unread
from symposia.testing.faults import Call, Received, Reply, Used, chat
from symposia.testing.faults.reply import settled

PLAIN = {"choices": [{"index": 0, "delta": {"role": "assistant", "content": "a"}, "finish_reason": None}]}


def raw(value: object) -> bytes:
    return json.dumps(value).encode()


def test_the_protocol_has_no_unknown_field() -> None:
    """Whatever the fake says, streamed and whole, with calls, reasoning and logprobs, is known."""
    named: list[str] = []
    everything = Reply(
        text="Yes.",
        reasoning="hm",
        calls=(Call(name="a", arguments={"deep": {"x": 1}}),),
        usage=Used(prompt=1, completion=2, cached=1, reasoning=1),
    )
    body = {"messages": [], "logprobs": True, "top_logprobs": 2, "stream_options": {"include_usage": True}}
    asked = Received(0, "POST", "/v1/chat/completions", {}, body)
    said = settled(everything, asked)
    read = Reading(named.append)
    for event in chat.stream(said, asked, reasoning_field="reasoning"):
        if event != chat.DONE:
            read(event.removeprefix(b"data: "))
    Reading(named.append)(raw(chat.whole(said, asked, reasoning_field="reasoning_content")))
    assert named == []


@pytest.mark.parametrize(
    ("chunk", "names"),
    [
        (PLAIN | {"provider": "p"}, ["provider"]),
        (PLAIN | {"provider": None, "x": [], "y": {}, "z": 0, "w": ""}, []),
        (
            {"choices": [{"delta": {"audio": {"id": "x"}}, "native": 1}]},
            ["choices.delta.audio", "choices.native"],
        ),
        (
            {"choices": [{"delta": {"tool_calls": [{"index": 0, "extra": 1}]}}]},
            ["choices.delta.tool_calls.extra"],
        ),
        (
            {"usage": {"prompt_tokens_details": {"audio_tokens": 3}}},
            ["usage.prompt_tokens_details.audio_tokens"],
        ),
        ({"error": {"message": "m", "param": "p", "trace": "t"}}, []),
        ({"choices": [{"delta": {"reasoning_details": [{"any": 1}]}}]}, []),
        ({"sk-0123456789abcdef 0": 1, "a" * 200: 2, "größe": 3}, ["other", "other", "other"]),
    ],
)
def test_a_field_is_named_by_its_path(chunk: dict, names: list[str]) -> None:
    """What is empty loses nothing; what the server says of its errors and of its reasoning is its own affair."""
    assert list(unread(raw(chunk))) == names


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["x", "id", "model", "usage", "service_tier", "created"]), VALUES))
def test_what_is_read_is_what_would_be_read_anyway(more: dict) -> None:
    """Knowing more fields changes no chunk, and no judgement of one."""
    data = raw(PLAIN | more)
    try:
        expected: Chunk | None = decode(data)
    except msgspec.MsgspecError:
        expected = None
    read = Reading(lambda _: None)
    if expected is None:
        with pytest.raises(msgspec.MsgspecError):
            read(data)
        return
    got = read(data)
    assert {name: plain(getattr(got, name)) for name in Chunk.__struct_fields__} == {
        name: plain(getattr(expected, name)) for name in Chunk.__struct_fields__
    }


def plain(value: object) -> object:
    """As JSON, without what only the wider types hold, and without what is empty."""
    if isinstance(value, list):
        return [plain(one) for one in value]
    if not isinstance(value, msgspec.Struct):
        return value
    narrow = type(value) if type(value).__name__[0] != "_" else type(value).__mro__[1]
    return {name: plain(getattr(value, name)) for name in narrow.__struct_fields__}


def test_the_end_of_a_reply_is_looked_at_whatever_came_before() -> None:
    """A strange chunk, plain ones, and a strange one that says what was used; each name once."""
    named: list[str] = []
    read = Reading(named.append)
    for chunk in (
        PLAIN,
        PLAIN | {"provider": "p"},
        PLAIN | {"provider": "p"},
        PLAIN | {"provider": "p", "usage": {"prompt_tokens": 1, "cache": 2}},
    ):
        read(raw(chunk))
    assert named == ["provider", "usage.cache"]


def test_a_server_cannot_name_without_end() -> None:
    """No reply fills a table of names."""
    named: list[str] = []
    Reading(named.append)(raw(PLAIN | {f"x{n}": 1 for n in range(100)}))
    assert len(named) == MOST_NAMED
