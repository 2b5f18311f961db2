"""The stream parser: reasoning, text and calls, whatever the chunks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symposia.core.errors import InvalidInput
from symposia.core.message import Reasoning, Text, ToolCall
from symposia.core.parse import Parser, parse, read_call
from symposia.core.value import canonical

CALL = '<tool_call>\n{"name": "add", "arguments": {"a": 1}}\n</tool_call>'
ADD = ToolCall(id="call_0", name="add", arguments={"a": 1})


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("Hello.", (Text("Hello."),)),
        ("<think>\nhm\n</think>\n\nHello.", (Reasoning("hm"), Text("Hello."))),
        ("  \n<think>hm</think>Hello.", (Reasoning("hm"), Text("Hello."))),
        ("<think>hm", (Reasoning("hm"),)),
        ("<think></think>Hello.", (Text("Hello."),)),
        ("Hello. <think>hm</think>", (Text("Hello. <think>hm</think>"),)),
        ("<think>a</think>b<think>c</think>", (Reasoning("a"), Text("b<think>c</think>"))),
        ("<thi", (Text("<thi"),)),
        ("  Hello.", (Text("  Hello."),)),
        ("", ()),
    ],
)
def test_reasoning_stands_at_the_start(text: str, parts: tuple) -> None:
    """Think tags at the start, closed or not, are reasoning; a think tag later is text."""
    assert parse(text) == parts


def test_a_prompt_may_open_the_thinking() -> None:
    """With `opens_thinking` the reply begins inside a thought; never closed, there is no text."""
    assert parse("hm\n</think>\n\nHello.", opens_thinking=True) == (Reasoning("hm"), Text("Hello."))
    assert parse("hm", opens_thinking=True) == (Reasoning("hm"),)


def test_calls_are_read_where_tools_were_offered_only() -> None:
    """`hermes` reads calls, repeated, with text before; `plain` leaves the same text alone."""
    assert parse(f"Let me see.\n{CALL}\n{CALL}", "hermes") == (
        Text("Let me see."),
        ADD,
        ToolCall(id="call_1", name="add", arguments={"a": 1}),
    )
    assert parse(CALL, "plain") == (Text(CALL),)
    assert parse(f"<think>hm</think>{CALL}", "prompted") == (Reasoning("hm"), ADD)


def test_arguments_encoded_twice_are_decoded_once_more() -> None:
    """A JSON string as arguments is the JSON it holds."""
    assert parse('<tool_call>{"name": "add", "arguments": "{\\"a\\": 1}"}</tool_call>', "hermes") == (ADD,)


@pytest.mark.parametrize(
    "body",
    [
        "not json",
        "[1]",
        '{"arguments": {}}',
        '{"name": "f", "arguments": [1]}',
        '{"name": "f", "arguments": "x"}',
        '{"name": 3}',
        '{"name": "f", "arguments": {"x": 1e400}}',
        '{"name": "f", "arguments": {"x": "\ud800"}}',
        '{"name": "f", "arguments": ' + "[" * 100_000,
        '{"name": "f", "arguments": {"x": ' + "[" * 100_000 + "}}",
    ],
)
def test_a_malformed_call_is_data(body: str) -> None:
    """What cannot be read becomes a ToolCall whose error says what was expected; it can be stored."""
    (call,) = parse(f"<tool_call>{body}</tool_call>", "hermes")
    assert isinstance(call, ToolCall)
    assert call.error.startswith("expected")
    assert call.arguments == {}
    canonical(call)


def test_an_unclosed_call_is_malformed_even_if_its_json_is_whole() -> None:
    """A reply that ends inside a call was cut; its call is not made."""
    (call,) = parse('<tool_call>{"name": "add", "arguments": {}}', "hermes")
    assert "</tool_call>" in call.error
    assert read_call('{"name": "add"}', 0) == ToolCall(id="call_0", name="add")


def test_an_unknown_syntax_is_refused() -> None:
    """A call syntax this version cannot read is refused by name, not skipped."""
    with pytest.raises(InvalidInput, match=r"'xml'.*mistral"):
        Parser("xml")


TAGS = ("<think>", "</think>", "<tool_call>", "</tool_call>", '{"name":"f"}', "\n", " ", "a", "<", "é", "東")
REPLIES = st.lists(st.sampled_from(TAGS), max_size=12).map("".join) | st.text(max_size=30)


@given(REPLIES, st.booleans(), st.sampled_from(("plain", "hermes")))
def test_what_is_shown_is_what_is_kept(text: str, opens: bool, syntax: str) -> None:
    """The deltas of a phase, joined, are its part, up to white space at the edges; no think tag is shown as thought."""
    parser = Parser(syntax, opens_thinking=opens)
    shown = [*parser.feed(text)]
    rest, parts = parser.close()
    shown += rest
    for phase, kind in (("reasoning", Reasoning), ("answer", Text)):
        streamed = "".join(d.text for d in shown if d.phase == phase)
        kept = "".join(p.text for p in parts if isinstance(p, kind))
        assert streamed.strip() == kept.strip()
