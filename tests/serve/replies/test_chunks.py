"""The events of a stream: the same JSON as the structs say, and no end before its time."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from symposia.core.message import ToolCall
from symposia.core.request import Completion, Delta, Logprobs, Request, ServedBy
from symposia.core.usage import Usage
from symposia.serve.faults import Fault, Served
from symposia.serve.replies import PING, Chunks, Decided, Envelope, choice_of, failed, steering_of, usage_of
from symposia.serve.replies.chunkforms import ChatChunk
from tests.serve.bodies import validator

ENVELOPE = Envelope('chatcmpl-"1', 1_700_000_000, 'ti"ny', "sym-0123456789ab")
ASK = Request(model="m", lines=(), speaker="assistant", logprobs=0)
WHOLE = Completion(
    text="",
    parts=(ToolCall(id="a", name="look", arguments={"at": "sky"}), ToolCall(id="b", name="look")),
    finish_reason="tool_calls",
    usage=Usage(input_tokens=3, output_tokens=2),
    logprobs=Logprobs(tokens=("x",), chosen=(-1.0,)),
    served=ServedBy(endpoint="e", model="m"),
)
BLOCK = steering_of(Decided(seed=1), WHOLE.receipts)
SCHEMA = {"$ref": "#/components/schemas/ChatChunk"}


def events(raw: bytes) -> list[dict[str, Any]]:
    """The chunks in some bytes; each must be one event of one line, and keep to its struct and the document."""
    found = []
    *lines, rest = raw.split(b"\n\n")
    assert rest == b""
    for line in lines:
        assert line.startswith(b"data: ")
        assert b"\n" not in line
        msgspec.json.decode(line[6:], type=ChatChunk, strict=True)
        found.append(json.loads(line[6:]))
        assert validator(SCHEMA).is_valid(found[-1])
    return found


texts = st.text(st.characters(exclude_categories=["Cs"]))
FIELDS: dict[str | None, dict[str, Any]] = {
    "content": {},
    "refusal": {"refusal": True},
    "reasoning_content": {"phase": "reasoning"},
    None: {"phase": "tool"},
}


@given(said=st.lists(st.tuples(st.integers(0, 2), st.sampled_from(list(FIELDS)), texts)))
def test_deltas_join_to_what_was_said_and_roles_come_once(said: list[tuple[int, str | None, str]]) -> None:
    """Any text, in any mixture of choices: joined it is the same, and only the first chunk of a choice has a role."""
    chunks = Chunks(ENVELOPE, 3)
    heard: dict[tuple[int, str], str] = {}
    roles: dict[int, list[bool]] = {}
    for index, field, text in said:
        for event in events(chunks.delta(index, Delta(text=text, **FIELDS[field]))):
            (choice,) = event["choices"]
            delta = choice["delta"]
            roles.setdefault(choice["index"], []).append("role" in delta)
            assert (choice["finish_reason"], choice["logprobs"]) == (None, None)
            assert (event["id"], event["model"]) == (ENVELOPE.id, ENVELOPE.model)
            for name in delta.keys() - {"role"}:
                heard[choice["index"], name] = heard.get((choice["index"], name), "") + delta[name]
    expected: dict[tuple[int, str], str] = {}
    for index, field, text in said:
        if field is not None:
            expected[index, field] = expected.get((index, field), "") + text
    assert heard == expected
    assert all(flags == [True, *[False] * (len(flags) - 1)] for flags in roles.values())


def test_the_first_chunk_is_this() -> None:
    """The golden form."""
    assert Chunks(ENVELOPE).delta(0, Delta(text='a"\n')) == (
        b'data: {"id":"chatcmpl-\\"1","object":"chat.completion.chunk","created":1700000000,"model":"ti\\"ny",'
        b'"system_fingerprint":"sym-0123456789ab","choices":[{"index":0,"delta":{"role":"assistant",'
        b'"content":"a\\"\\n"},"logprobs":null,"finish_reason":null}]}\n\n'
    )


def test_calls_go_out_whole_then_logprobs_then_the_finish() -> None:
    """One chunk each, a role in the first only."""
    chunks = Chunks(ENVELOPE)
    choice = choice_of(0, WHOLE, ASK)
    made = events(chunks.tail(choice) + chunks.finish(0, choice.finish_reason, BLOCK))
    deltas = [event["choices"][0]["delta"] for event in made]
    assert [list(delta) for delta in deltas] == [["role", "tool_calls"], ["tool_calls"], [], []]
    calls = [delta["tool_calls"][0] for delta in deltas[:2]]
    assert [(call["index"], call["id"], call["type"]) for call in calls] == [
        (0, "a", "function"),
        (1, "b", "function"),
    ]
    assert calls[0]["function"] == {"name": "look", "arguments": '{"at":"sky"}'}
    assert made[2]["choices"][0]["logprobs"]["content"][0]["token"] == "x"
    assert [event["choices"][0]["finish_reason"] for event in made] == [None, None, None, "tool_calls"]
    assert [("steering" in event) for event in made] == [False, False, False, True]


def test_usage_is_null_until_its_own_chunk() -> None:
    """With `include_usage` every chunk has it, null; the last has no choices, and the steering."""
    chunks = Chunks(ENVELOPE, include_usage=True)
    raw = (
        chunks.delta(0, Delta(text="a"))
        + chunks.finish(0, "stop")
        + chunks.usage(usage_of(WHOLE.usage), BLOCK)
    )
    made = events(raw)
    assert [event["usage"] for event in made[:2]] == [None, None]
    assert made[2]["choices"] == []
    assert made[2]["usage"]["total_tokens"] == 5
    assert made[2]["steering"]["seed"] == 1
    without = events(Chunks(ENVELOPE).delta(0, Delta(text="a")))
    assert "usage" not in without[0]


def test_a_choice_that_said_nothing_still_has_its_role() -> None:
    """An empty answer is one chunk: role and finish."""
    (event,) = events(Chunks(ENVELOPE).finish(0, "stop"))
    assert event["choices"][0]["delta"] == {"role": "assistant"}


@given(order=st.permutations(range(4)), upto=st.integers(0, 4))
def test_a_stream_ends_only_when_every_choice_has(order: list[int], upto: int) -> None:
    """Promise 4: `[DONE]` cannot be made before the last finish reason."""
    chunks = Chunks(ENVELOPE, 4)
    for index in order[:upto]:
        chunks.finish(index, "stop")
    assert chunks.complete == (upto == 4)
    if upto == 4:
        assert chunks.done() == b"data: [DONE]\n\n"
        return
    with pytest.raises(RuntimeError, match="not complete"):
        chunks.done()


def test_a_failure_is_one_event_without_an_end() -> None:
    """An error object, the steering that had been decided on, and nothing like `[DONE]`."""
    raw = failed(Fault("provider_stream_truncated", "cut"), "req_1", Served(profile="calm"))
    body = json.loads(raw.removeprefix(b"data: "))
    assert body["error"]["code"] == "provider_stream_truncated"
    assert body["error"]["steering"]["profile"] == "calm"
    assert b"[DONE]" not in raw
    assert raw.endswith(b"}\n\n")
    assert PING.startswith(b":")
