"""Laws of calls, over all templates with tools: what a template writes of a call, its parser reads."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symposia.core.lines import Line, Segment
from symposia.core.message import Text, ToolCall
from symposia.core.parse import Parser
from symposia.core.request import Request
from symposia.core.toolspec import ToolSpec
from symposia.engine.families import TEMPLATES
from tests.engine.templates.lines import template
from tests.laws.test_render import CONTROLS

NATIVE = [name for name in TEMPLATES if template(name).facts.native_tools]
TAGS = (
    "<tool_call>",
    "</tool_call>",
    "```",
    "```tool_code",
    "[TOOL_CALLS]",
    "[f(a=1)]",
    '{"name": "f"}',
    "<think>",
)
WORDS = (
    "Bread",
    "你好",
    "🙂",
    '"',
    "'",
    "\\",
    "\n",
    " ",
    "{",
    "]",
    ";",
    ")",
    "=",
    "<",
    "null",
    "True",
    "3",
    *TAGS,
)
BY_TYPE = {
    "text": st.lists(st.sampled_from((*WORDS, *CONTROLS)), max_size=6).map("".join),
    "count": st.integers(-(10**6), 10**12),
    "share": st.sampled_from((0.5, -2.25, 1e-7, 3e20)),
    "sure": st.booleans(),
    "names": st.lists(st.sampled_from(WORDS), max_size=3),
    "deep": st.dictionaries(
        st.sampled_from(("a", "b c", "é")), st.none() | st.booleans() | st.integers(0, 9)
    ),
}
KINDS = {
    "text": "string",
    "count": "integer",
    "share": "number",
    "sure": "boolean",
    "names": "array",
    "deep": "object",
}
TOOLS = tuple(
    ToolSpec(
        name=name,
        description="does it",
        parameters={"type": "object", "properties": {key: {"type": kind} for key, kind in KINDS.items()}},
    )
    for name in ("look", "go_there")
)
CALLS = st.lists(
    st.tuples(st.sampled_from(("look", "go_there")), st.fixed_dictionaries({}, optional=BY_TYPE)),
    min_size=1,
    max_size=3,
)
UNSAYABLE = {  # what a syntax has no escape for
    "qwen_xml": ("</tool_call>",)
}


def said(role: str, text: str, **more: object) -> Line:
    segments = (Segment(text=text, phase="prompt", author="bob", turn=0),) if text else ()
    return Line(role=role, segments=segments, kind="turn", **more)


def written(name: str, calls: tuple[ToolCall, ...], text: str) -> str:
    """The turn in which the calls were made, as the template shows it in history."""
    chat = template(name)
    asked = said("user", "Where?")
    results = [said("tool", "ZEBRA", call_id=call.id, call_name=call.name) for call in calls]
    lines = (asked, said("assistant", text, calls=calls), *results)

    def shown(*lines: Line) -> str:
        return chat.render(Request(model="m", lines=lines, speaker="al", tools=TOOLS)).text

    before, after = shown(asked), shown(*lines)
    assert after.startswith(before)
    reply = after[len(before) : after.index("ZEBRA", len(before))]
    return reply[: reply.rindex(chat.facts.marks.call_end)]


@pytest.mark.parametrize("name", NATIVE)
@given(CALLS, st.sampled_from(("", "Let me see.")), st.integers(1, 40))
def test_what_a_template_writes_of_calls_is_read_back(name, drawn, text, size) -> None:
    """Every name and value, with text beside them where it is kept, in one piece or many."""
    chat = template(name)
    facts = chat.facts
    drawn = drawn[:1] if facts.calls == "one" else drawn
    marks = UNSAYABLE.get(facts.syntax, ())
    if any(mark in str(arguments) for _, arguments in drawn for mark in marks):
        return
    calls = tuple(ToolCall(id=f"id{i:07}", name=n, arguments=a) for i, (n, a) in enumerate(drawn))
    reply = written(name, calls, text)
    parser = Parser(chat.syntax, tools=TOOLS)
    for start, stop in pairwise([*range(0, len(reply), size), len(reply)]):
        parser.feed(reply[start:stop])
    parts = parser.close()[1]
    beside = text and facts.call_text == "kept" and facts.syntax != "harmony"  # harmony thinks it
    assert [p for p in parts if isinstance(p, Text)] == ([Text(text)] if beside else [])
    assert [(p.name, p.arguments, p.error) for p in parts if isinstance(p, ToolCall)] == [
        (n, a, "") for n, a in drawn
    ]


def test_every_native_syntax_has_a_template_that_writes_it() -> None:
    """The laws above are about all of them."""
    syntaxes = {template(name).syntax for name in NATIVE}
    assert syntaxes == {
        *(
            "hermes",
            "qwen_xml",
            "llama_json",
            "llama_list",
            "mistral",
            "mistral_args",
            "gemma_code",
            "phi",
            "harmony",
        )
    }
