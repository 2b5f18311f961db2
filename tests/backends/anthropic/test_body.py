"""A request as a message of the messages protocol."""

from __future__ import annotations

import pytest

from symposia.backends import AnthropicEndpoint
from symposia.backends.anthropic.wire import MessagesWire
from symposia.core.errors import InvalidInput, UnsupportedRequest
from symposia.core.message import Reasoning, ToolCall
from tests.backends.asking import ADD, LOOSE, asked, line


def wire(**declared: object) -> MessagesWire:
    return MessagesWire("up", AnthropicEndpoint(**declared))


def body(declared: dict | None = None, **changes: object) -> dict:
    """What is sent, unless it is refused."""
    request, spoken = asked(**changes), wire(**(declared or {}))
    spoken.refuse(request)
    return spoken.body(request)


def refused(**changes: object) -> str:
    with pytest.raises(UnsupportedRequest) as caught:
        body(**changes)
    assert caught.value.way_out
    return caught.value.feature


def text(said: str) -> dict:
    return {"type": "text", "text": said}


def test_a_plain_request() -> None:
    """Streamed, its prompt cached unless that is turned off, without knobs the API does not have."""
    assert body() == {
        "model": "gpt-x",
        "max_tokens": 64,
        "messages": [{"role": "user", "content": [text("Say one word, please.")]}],
        "stream": True,
        "cache_control": {"type": "ephemeral"},
    }
    assert "cache_control" not in body({"prompt_cache": False})


def test_system_stands_apart_and_roles_alternate() -> None:
    """A later system line is the user's; neighbours are joined; the user begins."""
    lines = (
        line("system", "S."),
        line("assistant", "a"),
        line("user", "b"),
        line("system", "late"),
        line("user", "c"),
    )
    sent = body(lines=lines)
    assert sent["system"] == "S."
    assert [m["role"] for m in sent["messages"]] == ["user", "assistant", "user"]
    assert "late" in str(sent["messages"][2])


def test_a_tool_loop_goes_back_unchanged() -> None:
    """Thinking with its signature first, redacted thinking as it came, results of one reply in one user message."""
    thoughts = (
        Reasoning("Hm.", '{"of":"messages","signature":"sig"}'),
        Reasoning("", '{"of":"messages","type":"redacted_thinking","data":"zz"}'),
        Reasoning("Another server's.", '{"of":"chat"}'),
    )
    calls = (
        ToolCall(id="c1", name="files.read", arguments={"p": 1}),
        ToolCall(id="c2", name="add", arguments={}),
    )
    lines = (
        line("user", "Go."),
        line("assistant", "On it.", calls=calls, reasoning=thoughts),
        line("tool", "one", call_id="c1"),
        line("tool", "two", call_id="c2"),
        line("user", "And?"),
    )
    sent = body(lines=lines, tools=(LOOSE, ADD))["messages"]
    assert sent[1]["content"] == [
        {"type": "thinking", "thinking": "Hm.", "signature": "sig"},
        {"type": "redacted_thinking", "data": "zz"},
        text("On it."),
        {"type": "tool_use", "id": "c1", "name": "files_read", "input": {"p": 1}},
        {"type": "tool_use", "id": "c2", "name": "add", "input": {}},
    ]
    assert [m["role"] for m in sent] == ["user", "assistant", "user"]
    assert sent[2]["content"] == [
        {"type": "tool_result", "tool_use_id": "c1", "content": "one"},
        {"type": "tool_result", "tool_use_id": "c2", "content": "two"},
        text("And?"),
    ]


def test_tools_force_and_schema() -> None:
    """Tools by their schema, a forced one by name, a reply's shape in the output's configuration."""
    sent = body(tools=(LOOSE,), force=ADD)
    assert sent["tools"][1] == {"name": "add", "description": "Adds.", "input_schema": ADD.parameters}
    assert sent["tool_choice"] == {"type": "tool", "name": "add"}
    assert body(tools=(LOOSE,), tool_choice="none")["tool_choice"] == {"type": "none"}
    assert body(schema=ADD.parameters)["output_config"] == {
        "format": {"type": "json_schema", "schema": ADD.parameters}
    }


@pytest.mark.parametrize(
    ("mode", "sent"),
    [
        ("auto", {}),
        ("off", {"thinking": {"type": "disabled"}}),
        ("on", {"thinking": {"type": "adaptive"}}),
        ("low", {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}}),
        ("high", {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}}),
    ],
)
def test_thinking(mode: str, sent: dict) -> None:
    """By mode; an effort where one was chosen."""
    plain, fields = body(), body(thinking=mode)
    assert {key: value for key, value in fields.items() if key not in plain} == sent


def test_a_budget_of_thinking_has_bounds() -> None:
    """At least 1,024, and less than the reply may have."""
    assert body(thinking_budget=1024, max_tokens=2000)["thinking"] == {
        "type": "enabled",
        "budget_tokens": 1024,
    }
    assert refused(thinking_budget=1023, max_tokens=2000) == "thinking_budget=1023"
    assert refused(thinking_budget=2000, max_tokens=2000) == "thinking_budget=2000"
    assert refused(thinking_budget=1024, max_tokens=2000, thinking="low") == "thinking_budget with an effort"
    assert refused(force=ADD, thinking="on") == "force while thinking"


def test_knobs_the_api_no_longer_has() -> None:
    """Refused, unless the endpoint says that its model is older."""
    assert refused(temperature=0.5) == "temperature=0.5"
    assert refused(top_p=0.5) == "top_p=0.5"
    older = {"sampling_in_body": True}
    sent = body(older, temperature=0.5, top_p=0.9, top_k=7)
    assert (sent["temperature"], sent["top_p"], sent["top_k"]) == (0.5, 0.9, 7)
    assert "temperature" not in body(older)
    assert "top_k" in wire(**older).card("up:m").features
    assert "top_k" not in wire().card("up:m").features


def test_what_the_protocol_has_no_field_for_cannot_be_declared() -> None:
    """A feature in the file that nobody could send is an error there."""
    with pytest.raises(InvalidInput, match="logprobs has no place"):
        AnthropicEndpoint(features=("logprobs",))


def test_earlier_calls_are_text_where_no_tools_are_offered() -> None:
    """The API refuses their blocks without tools; roles alternate all the same, and nothing empty is sent."""
    call = ToolCall(id="c1", name="add", arguments={"a": 1})
    lines = (
        line("user", "Go."),
        line("assistant", "", calls=(call,)),
        line("tool", "2", call_id="c1"),
        line("assistant", "Two."),
        line("user", "  "),
        line("user", "And?"),
    )
    sent = body(lines=lines)["messages"]
    assert [m["role"] for m in sent] == ["user", "assistant", "user", "assistant", "user"]
    assert {block["type"] for m in sent for block in m["content"]} == {"text"}
    assert '"name": "add"' in sent[1]["content"][0]["text"]
    assert "tools" not in body(lines=lines)
