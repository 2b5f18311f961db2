"""Conversations that use tools, over hosted models: the loop, the real SDKs, and a server that checks every call."""

from __future__ import annotations

import pytest

from symposia.core.errors import TurnFailed
from symposia.core.message import Reasoning, ToolResult, said
from symposia.core.profile import Participant, Profile, Sampling
from symposia.core.transcript import Transcript
from symposia.talk.converse import converse
from symposia.talk.protocols import RoundRobin
from symposia.talk.rules import Kit
from symposia.talk.tools import Tool, ToolBox, tool
from symposia.testing.faults import Call, FaultyUpstream, Reply
from tests.backends.asking import MODEL, hosts, of

BOTH = pytest.mark.parametrize("dialect", ["openai", "anthropic"])


@tool
async def add(a: int, b: int) -> int:
    """The sum."""
    return a + b


BOX = ToolBox(add, Tool.of(lambda: "a plan", name="files.read", description="Reads."))
PEOPLE = (
    Participant(
        name="ann",
        profile=Profile(model=MODEL, sampling=Sampling(max_tokens=64), tools=BOX.specs, tool_rounds=2),
    ),
    Participant(name="bob", profile=Profile(model=MODEL, sampling=Sampling(max_tokens=64))),
)
OPENED = Transcript((said("bob", "Please add."),))


async def talk(dialect: str, server: FaultyUpstream, turns: int = 1):
    declared = {"flavour": "vllm"} if dialect == "openai" else {}
    backend = hosts().backend("up", of(dialect, server, **declared))
    try:
        return await converse(
            RoundRobin(speakers=("ann", "bob"), turns=turns),
            PEOPLE,
            backend,
            transcript=OPENED,
            kit=Kit(tools=BOX),
        )
    finally:
        await backend.aclose()


@BOTH
async def test_a_loop_of_two_rounds_and_the_turns_after_it(dialect: str) -> None:
    """Several calls of one reply, reasoning that goes back, errors as results; later turns show the trail again."""
    replies = [
        Reply(
            reasoning="Two sums.",
            text="One moment.",
            calls=(
                Call(name="add", arguments={"a": 1, "b": 2}),
                Call(name="add", arguments={"a": "x", "b": 2}),
            ),
        ),
        Reply(calls=(Call(name="files_read", arguments={}),)),
        "It is 3.",
        "Thank you.",
        "You are welcome.",
    ]
    async with FaultyUpstream(replies=replies, strict=True) as server:
        outcome = await talk(dialect, server, turns=3)
        bodies = [one.body for one in server.asked]
    results = [p for m in outcome.transcript for p in m.parts if isinstance(p, ToolResult)]
    assert [(r.name, r.error) for r in results] == [("add", False), ("add", True), ("files.read", False)]
    assert (results[0].text, results[2].text) == ("3", "a plan")
    assert [m.text for m in outcome.transcript if m.is_turn()] == [
        "It is 3.",
        "Thank you.",
        "You are welcome.",
    ]
    assert any(isinstance(p, Reasoning) for p in outcome.transcript[1].parts)
    assert outcome.tally.usage.calls == len(bodies) == 5
    assert bodies[2]["tool_choice"] == ({"type": "none"} if dialect == "anthropic" else "none")
    assert "a plan" not in str(bodies[3])
    assert "a plan" in str(bodies[4])
    assert len({r.id for r in results}) == 3


@BOTH
async def test_a_model_that_never_answers_is_a_failed_turn(dialect: str) -> None:
    """After two rounds it may call nothing; it calls all the same: tool_loop, and nothing is committed."""
    async with FaultyUpstream(
        replies=[Reply(calls=(Call(name="add", arguments={"a": 1, "b": 1}),))]
    ) as server:
        with pytest.raises(TurnFailed) as caught:
            await talk(dialect, server)
    assert caught.value.cause == "tool_loop"
    assert caught.value.transcript == OPENED


@BOTH
async def test_a_stream_that_ends_within_a_call_is_repeated_before_tools_run(dialect: str) -> None:
    """Half a call is no call: the whole generation is asked for again, and the tool runs once."""
    ran: list[int] = []

    async def count() -> str:
        """Counts."""
        ran.append(1)
        return "counted"

    box = ToolBox(count)
    people = (Participant(name="ann", profile=Profile(model=MODEL, tools=box.specs)),)
    replies = [
        Reply(calls=(Call(name="count", arguments={}),)),
        Reply(calls=(Call(name="count", arguments={}),)),
        "done",
    ]
    async with FaultyUpstream("eof,200", replies=replies) as server:
        backend = hosts().backend("up", of(dialect, server))
        try:
            outcome = await converse(
                RoundRobin(speakers=("ann",), turns=1), people, backend, transcript=OPENED, kit=Kit(tools=box)
            )
        finally:
            await backend.aclose()
    assert ran == [1]
    assert outcome.transcript[-1].text == "done"
