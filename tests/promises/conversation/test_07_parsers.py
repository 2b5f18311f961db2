"""Promise 7: any chunking gives what the whole gives; arbitrary text never raises; malformed calls become data."""

from __future__ import annotations

from functools import cache
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symposia.core.message import Reasoning, Text, ToolCall
from symposia.core.parse import SUPPORTED, Parser, parse
from symposia.core.toolspec import ToolSpec
from symposia.core.value import canonical
from tests.examples import examples

TOOLS = (
    ToolSpec(
        name="f",
        description="",
        parameters={
            "type": "object",
            "properties": {"a": {"type": ["integer", "null"]}, "b": {"enum": [True, "x"]}},
        },
    ),
)
COMMON = ("<think>", "</think>", "\n", " ", "a", "<", "t", ">", "</", "é", '"', "{", "}", "[", "]", "\\")
PIECES = {
    "hermes": (
        "<tool_call>",
        "</tool_call>",
        '{"name": "f", "arguments": {"a": 1}}',
        '{"name": 1',
        '"</tool_call>"',
    ),
    "qwen_xml": (
        *(
            "<tool_call>",
            "</tool_call>",
            "<function=f>",
            "</function>",
            "<parameter=a>",
            "<parameter=b>",
            "1",
        ),
        *("</parameter>", "null", "true"),
    ),
    "llama_json": (
        "<|python_tag|>",
        '{"name": "f", "parameters": {"a": 1}}',
        ";",
        "; ",
        '{"name"',
        '{"x": 1}',
        "<|eom_id|>",
    ),
    "llama_list": (
        "<|python_tag|>",
        "[f(a=1)]",
        "[f(",
        "a=1",
        ", ",
        "g()",
        ")]",
        "f(a='x')",
        "(",
        ")",
        "print(",
    ),
    "mistral": (
        "[TOOL_CALLS]",
        '[{"name": "f", "arguments": {"a": 1}, "id": "abcdefghi"}]',
        '{"name": "f"}',
        "[]",
        "1e999",
    ),
    "mistral_args": ("[TOOL_CALLS]", "f", "[CALL_ID]", "abc", "[ARGS]", '{"a": 1}', '{"a"'),
    "gemma_code": (
        "```tool_code",
        "```",
        "f(a=1)",
        "print(f(a='```'))",
        "'",
        '"""',
        "f(**x)",
        "a.b(c=-1)",
        "\\",
    ),
    "phi": (
        "<|tool_call|>",
        "<|/tool_call|>",
        '[{"name": "f", "arguments": {}}]',
        '{"name": "f"}',
        '"<|/tool_call|>"',
    ),
    "harmony": (
        *(
            "<|start|>",
            "<|channel|>",
            "<|message|>",
            "<|end|>",
            "<|call|>",
            "<|return|>",
            "assistant",
            "analysis",
        ),
        *(
            "commentary",
            "final",
            " to=functions.f",
            " to=python ",
            "<|constrain|>json",
            '{"a": 1}',
            "to=",
            "<|",
        ),
    ),
    "plain": ("<tool_call>",),
}
PIECES["prompted"] = PIECES["hermes"]


@cache
def replies(syntax: str) -> st.SearchStrategy[str]:
    return (
        st.lists(st.sampled_from((*PIECES[syntax], *PIECES[syntax], *COMMON)), max_size=16).map("".join)
        | st.text(max_size=40)
        | st.text(alphabet='<>/think_oalc{}[]()=":,|; 1 \n\ud800', max_size=60)
    )


def streamed(parser: Parser, chunks: list[str]):
    deltas = [delta for chunk in chunks for delta in parser.feed(chunk)]
    rest, parts = parser.close()
    joined = {"answer": "", "reasoning": "", "tool": ""}
    for delta in (*deltas, *rest):
        joined[delta.phase] += delta.text
    return joined, parts


@pytest.mark.parametrize("syntax", SUPPORTED)
@examples(200)
@given(st.data(), st.lists(st.integers(0, 90), max_size=8), st.booleans(), st.booleans())
def test_any_chunking_equals_the_whole(syntax, data, cuts, opens, offered) -> None:
    """Cut anywhere, even into characters, the parts are the same, and so is what was shown, phase by phase."""
    text = data.draw(replies(syntax))
    options = {"tools": TOOLS, "opens_thinking": opens, "offered": offered}
    ends = sorted({min(c, len(text)) for c in cuts} | {0, len(text)})
    whole = streamed(Parser(syntax, **options), [text])
    assert streamed(Parser(syntax, **options), [text[a:b] for a, b in pairwise(ends)]) == whole
    assert streamed(Parser(syntax, **options), list(text)) == whole
    assert whole[1] == parse(text, syntax, **options)


@pytest.mark.parametrize("syntax", SUPPORTED)
@examples(200)
@given(st.data())
def test_arbitrary_text_never_raises(syntax, data) -> None:
    """Whatever a model writes becomes parts; a call that cannot be read has an error and no arguments."""
    for part in parse(data.draw(replies(syntax)), syntax, tools=TOOLS):
        assert isinstance(part, Text | Reasoning | ToolCall)
        if isinstance(part, ToolCall):
            assert bool(part.error) or bool(part.name)
            assert not (part.error and part.arguments)
            canonical(part)


@pytest.mark.parametrize("syntax", SUPPORTED)
@examples(100)
@given(st.data())
def test_what_is_shown_is_what_is_kept(syntax, data) -> None:
    """The deltas of a phase, joined, are its part, up to white space at the edges."""
    joined, parts = streamed(Parser(syntax, tools=TOOLS), [data.draw(replies(syntax))])
    for phase, kind in (("reasoning", Reasoning), ("answer", Text)):
        assert joined[phase].strip() == "".join(p.text for p in parts if isinstance(p, kind)).strip()


@pytest.mark.parametrize("syntax", SUPPORTED)
@examples(50)
@given(st.data())
def test_without_tools_nothing_is_a_call(syntax, data) -> None:
    """A model that was offered no tool says text, whatever it looks like."""
    parts = parse(data.draw(replies(syntax)), syntax, offered=False)
    assert not any(isinstance(part, ToolCall) for part in parts)


@given(
    st.dictionaries(
        st.text(max_size=5),
        st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.just('a "</tool_call>" b'),
        max_size=4,
    )
)
def test_a_well_formed_call_is_read_back(arguments) -> None:
    """A call written in the hermes form is read as it was meant, alone or after text, its own tags quoted in it."""
    body = canonical({"name": "f", "arguments": arguments}).decode()
    for before in ("", "Let me see. "):
        parts = parse(f"{before}<tool_call>\n{body}\n</tool_call>", "hermes")
        assert parts[-1] == ToolCall(id="call_0", name="f", arguments=arguments)
