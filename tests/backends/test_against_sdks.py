"""A second reading of the same streams: the providers' own accumulators agree with ours on every reply."""

from __future__ import annotations

from typing import Any

import pytest
from anthropic import AsyncAnthropic
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openai import AsyncOpenAI

from symposia.backends.anthropic.wire import MessagesWire
from symposia.backends.openai.wire import ChatWire
from symposia.core.message import ToolCall
from symposia.core.request import Completion
from symposia.testing.faults import Call, FaultyUpstream, Received, Reply, Used
from tests.backends.asking import ADD, anthropic, asked, hosts, of, openai, whole

WORDS = st.lists(st.sampled_from(["Grüße", "雪", "🌨", "a", "“x”", "\\", '"q"', "END"]), max_size=12).map(
    " ".join
)
CALLS = st.lists(
    st.builds(Call, name=st.just("add"), arguments=st.fixed_dictionaries({"a": st.integers()})), max_size=3
)
USED = st.builds(
    Used,
    prompt=st.integers(50, 99),
    completion=st.integers(1, 99),
    cached=st.integers(0, 50),
    reasoning=st.just(0),
)
REPLIES = st.builds(
    Reply, text=WORDS, calls=CALLS.map(tuple), usage=USED, reasoning=st.sampled_from(["", "Hm. Well."])
).filter(lambda reply: reply.text or reply.calls)
SLOWLY = settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow])


def calls_of(done: Completion) -> list[tuple[str, str, dict]]:
    return [(part.id, part.name, part.arguments) for part in done.parts if isinstance(part, ToolCall)]


@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
async def test_requests_are_those_the_sdk_sends(dialect: str) -> None:
    """Path, headers and body of every call are what the SDK's own method sends for it."""
    request, other = asked(), asked(max_tokens=3, stop=("\u2028é",))
    async with FaultyUpstream(replies=["a", "b", "c", "d"]) as server:
        endpoint = of(dialect, server)
        backend = hosts().backend("up", endpoint)
        for one in (request, other):
            assert [item async for item in backend.generate(one)]
        await backend.aclose()
        wire = (ChatWire if dialect == "openai" else MessagesWire)("up", endpoint)
        create, client = client_of(dialect, server)
        async with client:
            for one in (request, other):
                async for _ in await create(**wire.body(one)):
                    pass
        ours, theirs = server.asked[:2], server.asked[2:]
    for mine, its in zip(ours, theirs, strict=True):
        assert (mine.method, mine.path, mine.body) == (its.method, its.path, its.body)
        assert headers(mine) == headers(its)


def client_of(dialect: str, server: FaultyUpstream) -> tuple[Any, Any]:
    asked_of: dict[str, Any] = {"api_key": "k-0123456789", "max_retries": 0, "timeout": None}
    if dialect == "openai":
        chat = AsyncOpenAI(base_url=server.base_url, **asked_of)
        return chat.chat.completions.create, chat
    messages = AsyncAnthropic(base_url=server.root_url, **asked_of)
    return messages.messages.create, messages


def headers(received: Received) -> dict[str, str]:
    """All but the timeouts, which are kept here, and the length, which spaces in JSON may change."""
    ours = ("x-stainless-timeout", "x-stainless-read-timeout", "content-length")
    return {name: value for name, value in received.headers.items() if name not in ours}


def fields(body: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in body.items() if key != "stream"}


@SLOWLY
@given(REPLIES)
async def test_openai_reads_the_same(reply: Reply) -> None:
    """Text, calls, usage and finish, from the helper that comes with the openai package."""
    request = asked(tools=(ADD,), max_tokens=1000)
    async with FaultyUpstream(replies=[reply]) as server:
        done = await whole(openai(server), request)
        body = fields(ChatWire("up", openai(server)).body(request))
        client = AsyncOpenAI(api_key="k", base_url=server.base_url, max_retries=0)
        async with client, client.chat.completions.stream(**body) as stream:
            theirs = await stream.get_final_completion()
    choice = theirs.choices[0]
    assert (choice.message.content or "") == done.text
    ids = [call.id for call in choice.message.tool_calls or ()]
    assert [name.rsplit("_", 1)[1] for name in ids] == [call[0].rsplit("_", 1)[1] for call in calls_of(done)]
    assert [call.function.name for call in choice.message.tool_calls or ()] == [c[1] for c in calls_of(done)]
    assert choice.finish_reason == done.finish_reason
    assert theirs.usage is not None
    assert (theirs.usage.prompt_tokens, theirs.usage.completion_tokens) == (
        done.usage.input_tokens,
        done.usage.output_tokens,
    )


@SLOWLY
@given(REPLIES)
async def test_anthropic_reads_the_same(reply: Reply) -> None:
    """Blocks, usage and stop reason, from the helper that comes with the anthropic package."""
    request = asked(tools=(ADD,), max_tokens=1000)
    async with FaultyUpstream(replies=[reply]) as server:
        done = await whole(anthropic(server), request)
        body = fields(MessagesWire("up", anthropic(server)).body(request))
        client = AsyncAnthropic(api_key="k", base_url=server.root_url, max_retries=0)
        async with client, client.messages.stream(**body) as stream:
            theirs = await stream.get_final_message()
    assert "".join(block.text for block in theirs.content if block.type == "text") == done.text
    assert [(b.name, b.input) for b in theirs.content if b.type == "tool_use"] == [
        c[1:] for c in calls_of(done)
    ]
    used = theirs.usage
    assert (used.input_tokens + (used.cache_read_input_tokens or 0), used.output_tokens) == (
        done.usage.input_tokens,
        done.usage.output_tokens,
    )
    assert {"end_turn": "stop", "tool_use": "tool_calls"}[theirs.stop_reason or ""] == done.finish_reason
