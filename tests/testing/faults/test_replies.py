"""What the fake says is what the official clients read, streamed and whole."""

from __future__ import annotations

import json

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from symposia.core.example import example
from symposia.testing.faults import SENTENCE, Call, FaultyUpstream, Received, Reply, Used
from symposia.testing.faults.reply import pieces, settled
from tests.testing.faults.clients import anthropic_client, openai_client

USER = {"role": "user", "content": "hi"}
EVERYTHING = Reply(
    text="Grüße, 雪 and 🌨.",
    reasoning="let me think",
    calls=(Call(name="add", arguments={"a": 1}), Call(name="now")),
    usage=Used(prompt=20, completion=9, cached=5, reasoning=3),
)


@given(st.text())
def test_pieces_spell_the_text(text: str) -> None:
    """Deltas lose and add nothing."""
    assert "".join(pieces(text)) == text


async def test_chat_completions_read_the_same_streamed_and_whole() -> None:
    """Text, reasoning, calls, logprobs, usage and finish, by the openai client."""
    asks = {"model": "m", "messages": [USER], "logprobs": True, "top_logprobs": 2}
    async with FaultyUpstream(replies=[EVERYTHING]) as server, openai_client(server) as client:
        whole = await client.chat.completions.create(**asks)
        stream = await client.chat.completions.create(
            **asks, stream=True, stream_options={"include_usage": True}
        )
        chunks = [chunk async for chunk in stream]
    said = whole.choices[0]
    deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
    assert said.message.content == EVERYTHING.text == "".join(d.content or "" for d in deltas)
    reasoning = "".join(getattr(d, "reasoning", None) or "" for d in deltas)
    assert said.message.reasoning == EVERYTHING.reasoning == reasoning
    arguments = ["", ""]
    for delta in deltas:
        for call in delta.tool_calls or ():
            arguments[call.index] += call.function.arguments or ""
    assert [c.function.arguments for c in said.message.tool_calls] == arguments == ['{"a": 1}', "{}"]
    tokens = [
        t.token for c in chunks if c.choices and c.choices[0].logprobs for t in c.choices[0].logprobs.content
    ]
    assert [t.token for t in said.logprobs.content] == tokens == pieces(EVERYTHING.text)
    assert {len(t.top_logprobs) for t in said.logprobs.content} == {2}
    assert whole.usage == chunks[-1].usage
    assert (whole.usage.prompt_tokens_details.cached_tokens, whole.usage.total_tokens) == (5, 29)
    finishes = [c.choices[0].finish_reason for c in chunks if c.choices and c.choices[0].finish_reason]
    assert [said.finish_reason] == finishes == ["tool_calls"]


async def test_messages_read_the_same_streamed_and_whole() -> None:
    """Thinking with its signature, text, calls, usage and stop reason, by the anthropic client's own accumulation."""
    asks = {"model": "m", "messages": [USER], "max_tokens": 99}
    async with FaultyUpstream(replies=[EVERYTHING]) as server, anthropic_client(server) as client:
        whole = await client.messages.create(**asks)
        async with client.messages.stream(**asks) as stream:
            streamed = await stream.get_final_message()
    strip = {"id": ...}
    read = [json.loads(m.model_dump_json(exclude_none=True)) | strip for m in (whole, streamed)]
    for message in read:
        for block in message["content"]:
            block.pop("id", None)
    assert read[0]["content"] == read[1]["content"]
    assert [block.type for block in whole.content] == ["thinking", "text", "tool_use", "tool_use"]
    assert whole.content[0].signature
    assert (whole.stop_reason, streamed.stop_reason) == ("tool_use", "tool_use")
    assert (whole.usage.input_tokens, whole.usage.cache_read_input_tokens, whole.usage.output_tokens) == (
        15,
        5,
        9,
    )
    assert streamed.usage.output_tokens == 9


async def test_models_are_listed_for_both() -> None:
    """/v1/models, by both clients."""
    async with FaultyUpstream(models=["a", "b"]) as server:
        async with openai_client(server) as client:
            assert [model.id async for model in client.models.list()] == ["a", "b"]
        async with anthropic_client(server) as client:
            assert [model.id async for model in client.models.list()] == ["a", "b"]
    assert server.asked == []
    assert len(server.received) == 2


async def test_what_comes_is_recorded() -> None:
    """Path, headers, body and key of every request."""
    async with FaultyUpstream() as server, openai_client(server) as client:
        await client.chat.completions.create(model="m", messages=[USER], extra_headers={"X-Mine": "1"})
    [received] = server.asked
    assert (received.method, received.path, received.dialect) == ("POST", "/v1/chat/completions", "openai")
    assert received.headers["x-mine"] == "1"
    assert received.body["messages"] == [USER]
    assert received.key == client.api_key


def asked(**body: object) -> Received:
    return Received(0, "POST", "/v1/chat/completions", {}, {"messages": [USER], **body})


@pytest.mark.parametrize(
    ("reply", "body", "text", "finish"),
    [
        (Reply(text="a b c"), {"max_tokens": 2}, "a b", "length"),
        (Reply(text="a b c"), {"max_completion_tokens": 3}, "a b c", "stop"),
        (Reply(text="a b c"), {"stop": [" c", " b"]}, "a", "stop_string"),
        (Reply(text="a b c"), {"stop_sequences": ["z"]}, "a b c", "stop"),
        (Reply(text="a b c", finish="content_filter"), {"max_tokens": 1}, "a b c", "content_filter"),
        (Reply(calls=(Call(name="f"),)), {}, "", "tool_calls"),
    ],
)
def test_limits_of_the_request_hold(reply: Reply, body: dict, text: str, finish: str) -> None:
    """A stop string or the budget ends a scripted text, unless its finish is scripted too."""
    done = settled(reply, asked(**body))
    assert (done.text, done.finish) == (text, finish)
    assert done.used.completion == len(pieces(text)) + len(done.calls)


SCHEMA = {
    "type": "object",
    "properties": {
        "verdict": {"enum": ["yes", "no"]},
        "why": {"type": "string", "minLength": 9},
        "n": {"type": "integer", "minimum": 3},
        "list": {"type": "array", "items": {"type": "boolean"}, "minItems": 2},
        "maybe": {"anyOf": [{"type": "null"}, {"type": "number"}]},
        "several": {"type": ["string", "null"]},
    },
    "required": ["verdict", "why", "n", "list", "maybe", "several"],
}


def test_an_unscripted_answer_has_the_form_asked_for() -> None:
    """The example of a schema satisfies it, by an independent validator."""
    jsonschema.validate(example(SCHEMA), SCHEMA)


async def test_forced_tools_and_schemas_are_answered() -> None:
    """Nothing scripted: a call of the forced tool, JSON of the schema, or the sentence; in both protocols."""
    async with (
        FaultyUpstream() as server,
        openai_client(server) as client,
        anthropic_client(server) as claude,
    ):
        create = client.chat.completions.create
        tool = {"type": "function", "function": {"name": "f", "parameters": SCHEMA}}
        forced = {"type": "function", "function": {"name": "f"}}
        call = await create(model="m", messages=[USER], tools=[tool], tool_choice=forced)
        jsonschema.validate(json.loads(call.choices[0].message.tool_calls[0].function.arguments), SCHEMA)
        shape = {"type": "json_schema", "json_schema": {"name": "s", "schema": SCHEMA}}
        shaped = await create(model="m", messages=[USER], response_format=shape)
        jsonschema.validate(json.loads(shaped.choices[0].message.content), SCHEMA)
        assert (await create(model="m", messages=[USER])).choices[0].message.content == SENTENCE
        used = await claude.messages.create(
            model="m",
            max_tokens=99,
            messages=[USER],
            tools=[{"name": "f", "input_schema": SCHEMA}],
            tool_choice={"type": "tool", "name": "f"},
        )
        jsonschema.validate(used.content[0].input, SCHEMA)
