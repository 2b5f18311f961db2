"""Conversations with hosted models: the loop, the facade and the wire together."""

from __future__ import annotations

import pytest

from symposia.core.message import Reasoning
from symposia.core.profile import Participant, Profile, Sampling
from symposia.core.request import Delta
from symposia.facade import Conversation, backend_of, with_endpoints
from symposia.talk.converse import converse
from symposia.talk.protocols import Once
from symposia.talk.rules import Kit
from symposia.talk.stop import Turns
from symposia.talk.tools import Tool, ToolBox
from symposia.testing.faults import Call, FaultyUpstream, Received, Reply
from tests.backends.asking import MODEL, hosts, of, openai


def look(p: str) -> str:
    """Look something up."""
    return p.upper()


BOX = ToolBox(Tool.of(look, name="files.look"))


def thinking(asked: Received) -> Reply:
    """A thought and a call, twice; then a thought and the answer."""
    rounds = str(asked.body["messages"]).count("files_look")
    if asked.body.get("tools") and rounds < 2:
        return Reply(reasoning=f"Thought {rounds}.", calls=(Call(name="files_look", arguments={"p": "x"}),))
    return Reply(reasoning="Enough.", text="It is X.")


@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
async def test_reasoning_goes_back_within_a_tool_loop_only(dialect: str) -> None:
    """Each round sends the loop's thoughts back as they came; the next turn sends none of them."""
    who = Participant(
        name="ann", profile=Profile(model=MODEL, tools=BOX.specs, sampling=Sampling(max_tokens=99))
    )
    async with FaultyUpstream(replies=thinking, strict=True, reasoning_field="reasoning_content") as server:
        declared = {"flavour": "vllm"} if dialect == "openai" else {}
        backend = hosts().backend("up", of(dialect, server, **declared))
        outcome = await converse(Once(speaker="ann"), (who,), backend, kit=Kit(tools=BOX))
        third = server.asked[2].body["messages"]
        await converse(
            Once(speaker="bob"),
            (who, Participant(name="bob", profile=Profile(model=MODEL))),
            backend,
            transcript=outcome.transcript,
            kit=Kit(tools=BOX),
        )
        last = str(server.asked[-1].body["messages"])
        await backend.aclose()
    assert [m.author for m in outcome.transcript] == ["ann", "tool", "ann", "tool", "ann"]
    assert outcome.transcript[-1].text == "It is X."
    assert any(isinstance(part, Reasoning) for part in outcome.transcript[-1].parts)
    own = [m for m in third if m["role"] == "assistant"]
    if dialect == "openai":
        assert [m["reasoning_content"] for m in own] == ["Thought 0.", "Thought 1."]
    else:
        assert [m["content"][0]["thinking"] for m in own] == ["Thought 0.", "Thought 1."]
        assert all(m["content"][0]["signature"] for m in own)
    assert "Thought" not in last
    assert "It is X." in last


async def test_a_refusal_is_heard_and_committed_as_text() -> None:
    """Who listens to answers hears it, and the message holds it."""
    async with FaultyUpstream(replies=[Reply(text="I had rather not.", finish="refusal")]) as server:
        backend = with_endpoints({"up": openai(server, key="none")})
        conversation = Conversation.from_models([MODEL], names=["ann"], backend=backend)
        *heard, message = [item async for item in conversation.stream(turns=1)]
        await backend.aclose()
    assert {delta.phase for delta in heard} == {"answer"}
    assert "".join(delta.text for delta in heard) == message.text == "I had rather not."
    assert message.provenance.finish_reason == "refusal"


async def test_a_listener_hears_answer_and_reasoning_apart() -> None:
    """What is thought is shown as such while it streams, never as what was said."""
    async with FaultyUpstream(replies=[Reply(reasoning="Hm, well.", text="Yes, it is.")]) as server:
        backend = with_endpoints({"up": openai(server, key="none", flavour="vllm")})
        conversation = Conversation.from_models([MODEL], names=["ann"], backend=backend)
        heard = [item async for item in conversation.stream(turns=1)]
        await backend.aclose()
    deltas = [item for item in heard if isinstance(item, Delta)]
    assert "".join(d.text for d in deltas if d.phase == "reasoning") == "Hm, well."
    assert "".join(d.text for d in deltas if d.phase == "answer") == "Yes, it is."


async def test_the_default_table_asks_providers_with_keys_of_the_environment(monkeypatch) -> None:
    """Both of them, in one conversation, by the address alone."""
    async with FaultyUpstream(replies=["one", "two"]) as server:
        env = {
            "OPENAI_BASE_URL": server.base_url,
            "OPENAI_API_KEY": "k-openai-123",
            "ANTHROPIC_BASE_URL": server.root_url,
            "ANTHROPIC_API_KEY": "k-anthropic-1",
        }
        backend = backend_of(hosts=hosts(env=env))
        conversation = Conversation.from_models(
            ["openai:gpt-x", "anthropic:claude-x"], names=["ann", "bob"], backend=backend
        )
        await conversation.arun(until=Turns(2))
        await backend.aclose()
        assert [(one.dialect, one.key) for one in server.asked] == [
            ("openai", "k-openai-123"),
            ("anthropic", "k-anthropic-1"),
        ]
    assert [m.text for m in conversation.transcript] == ["one", "two"]
