"""Promise 7: any chunking gives what the whole gives; arbitrary text never raises; malformed calls become data."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from symposia.core.message import Reasoning, Text, ToolCall
from symposia.core.value import canonical
from symposia.talk.parse import SUPPORTED, Parser, parse

TAGS = (
    "<think>", "</think>", "<tool_call>", "</tool_call>", '{"name": "f", "arguments": {"a": 1}}', '{"name": 1',
    "\n", " ", "a", "<", "t", ">", "</", "é",
)  # fmt: skip
REPLIES = st.lists(st.sampled_from(TAGS), max_size=14).map("".join) | st.text(max_size=40)


@settings(max_examples=300)
@given(REPLIES, st.lists(st.integers(0, 60), max_size=8), st.sampled_from(SUPPORTED), st.booleans())
def test_any_chunking_equals_the_whole(text, cuts, syntax, opens) -> None:
    """Cut anywhere, the parts are the same, and so is what was shown, phase by phase."""
    whole, pieces = Parser(syntax, opens_thinking=opens), Parser(syntax, opens_thinking=opens)
    ends = sorted({min(c, len(text)) for c in cuts} | {0, len(text)})
    shown = [
        list(whole.feed(text)),
        [d for a, b in pairwise(ends) for d in pieces.feed(text[a:b])],
    ]
    closed = whole.close(), pieces.close()
    assert closed[0][1] == closed[1][1] == parse(text, syntax, opens_thinking=opens)
    streams = [
        {
            phase: "".join(d.text for d in [*deltas, *last[0]] if d.phase == phase)
            for phase in ("answer", "reasoning", "tool")
        }
        for deltas, last in zip(shown, closed, strict=True)
    ]
    assert streams[0] == streams[1]


@settings(max_examples=300)
@given(
    st.text(max_size=60) | st.text(alphabet='<>/think_oalc{}[]":,1 \n\ud800', max_size=60),
    st.sampled_from(SUPPORTED),
)
def test_arbitrary_text_never_raises(text, syntax) -> None:
    """Whatever a model writes becomes parts; a call that cannot be read has an error and no arguments."""
    for part in parse(text, syntax):
        assert isinstance(part, Text | Reasoning | ToolCall)
        if isinstance(part, ToolCall):
            assert bool(part.error) or bool(part.name)
            canonical(part)


@given(
    st.dictionaries(
        st.text(max_size=5), st.none() | st.booleans() | st.integers() | st.text(max_size=8), max_size=4
    )
)
def test_a_well_formed_call_is_read_back(arguments) -> None:
    """A call written in the hermes form is read as it was meant, alone or after text."""
    body = canonical({"name": "f", "arguments": arguments}).decode()
    for before in ("", "Let me see. "):
        parts = parse(f"{before}<tool_call>\n{body}\n</tool_call>", "hermes")
        assert parts[-1] == ToolCall(id="call_0", name="f", arguments=arguments)
