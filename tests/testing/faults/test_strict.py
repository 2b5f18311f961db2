"""A strict server: tool calls and results belong together, or 400 says which do not."""

from __future__ import annotations

import pytest

from symposia.testing.faults import FaultyUpstream, Received
from symposia.testing.faults.strict import complaint
from tests.testing.faults.clients import openai_client

USER = {"role": "user", "content": "hi"}


def calls(*ids: str) -> dict:
    function = {"name": "f", "arguments": "{}"}
    return {
        "role": "assistant",
        "tool_calls": [{"id": i, "type": "function", "function": function} for i in ids],
    }


def result(i: str) -> dict:
    return {"role": "tool", "tool_call_id": i, "content": "1"}


def uses(*ids: str) -> dict:
    return {
        "role": "assistant",
        "content": [{"type": "tool_use", "id": i, "name": "f", "input": {}} for i in ids],
    }


def results(*ids: str) -> dict:
    return {
        "role": "user",
        "content": [{"type": "tool_result", "tool_use_id": i, "content": "1"} for i in ids],
    }


def asked(path: str, messages: list[dict], **body: object) -> Received:
    return Received(0, "POST", path, {}, {"messages": messages, **body})


TOOL = {"type": "function", "function": {"name": "f"}}
CHAT = [
    ([USER], None),
    ([USER, calls("a", "b"), result("b"), result("a"), USER], None),
    ([], "at least one message"),
    ([USER, calls("a")], "without an answer: a"),
    ([USER, calls("a", "b"), result("a"), USER], "without an answer: b"),
    ([USER, result("a")], "must answer a call"),
    ([USER, calls("a"), result("a"), result("a")], "must answer a call"),
    ([USER, calls("a", "a")], "unique"),
]
MESSAGES = [
    ([USER], None),
    ([USER, uses("a", "b"), results("a", "b")], None),
    ([uses("a")], "first message"),
    ([USER, USER], "alternate"),
    ([USER, uses("a")], "without a tool_result right after them: a"),
    ([USER, uses("a", "b"), results("a")], "right after them: a, b"),
    ([USER, {"role": "assistant", "content": "x"}, results("a")], "must answer a tool_use"),
]


@pytest.mark.parametrize(("messages", "why"), CHAT)
def test_chat_completions(messages: list[dict], why: str | None) -> None:
    """Every id of an assistant message is answered, right after it, by its own tool message."""
    said = complaint(asked("/v1/chat/completions", messages))
    assert (said is None) == (why is None)
    assert why is None or why in (said or "")


@pytest.mark.parametrize(("messages", "why"), MESSAGES)
def test_messages(messages: list[dict], why: str | None) -> None:
    """Every tool_use has its tool_result in the next message; roles alternate, the user first."""
    said = complaint(asked("/v1/messages", messages))
    assert (said is None) == (why is None)
    assert why is None or why in (said or "")


def test_a_forced_tool_must_be_there() -> None:
    """tool_choice names one of the tools."""
    choice = {"type": "function", "function": {"name": "f"}}
    assert complaint(asked("/v1/chat/completions", [USER], tool_choice=choice, tools=[TOOL])) is None
    assert "'f' is not one of" in (complaint(asked("/v1/chat/completions", [USER], tool_choice=choice)) or "")


async def test_the_server_answers_400_and_the_plan_waits() -> None:
    """A refused request uses up no step."""
    import openai

    async with FaultyUpstream("500,200", strict=True) as server, openai_client(server) as client:
        with pytest.raises(openai.BadRequestError, match="without an answer: a"):
            await client.chat.completions.create(model="m", messages=[USER, calls("a")])
        with pytest.raises(openai.InternalServerError):
            await client.chat.completions.create(model="m", messages=[USER])
        assert (await client.chat.completions.create(model="m", messages=[USER])).choices[0].message.content
