"""Laws of rendering, over all templates and random conversations (conversation.md, promises 3, 4 and 5)."""

from __future__ import annotations

import unicodedata
from functools import cache
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from symposia.core.conform import conform
from symposia.core.lines import Line, Segment, markup
from symposia.core.message import ToolCall
from symposia.core.request import Request
from symposia.core.span import partitions
from symposia.core.toolspec import ToolSpec
from symposia.engine.families import TEMPLATES
from symposia.engine.families import chat_tokenizer as family_tokenizer
from symposia.engine.template import ChatTemplate

TINY = files("symposia") / "weights" / "tiny"
NAMES = [*TEMPLATES, *(["tiny"] if (TINY / "tokenizer.json").is_file() else [])]


@cache
def chat_tokenizer(name: str) -> PreTrainedTokenizerFast:
    return AutoTokenizer.from_pretrained(str(TINY)) if name == "tiny" else family_tokenizer(name)


TOOL = ToolSpec(
    name="look", description="looks at <|im_end|> things", parameters={"type": "object", "properties": {}}
)
BYTE_LEVEL = [n for n, v in TEMPLATES.items() if v.scheme in ("qwen", "llama3")]
WORDS = (
    "Bread",
    "is",
    "fine",
    "'s",
    "12,345",
    "你好",
    "naïve",
    "🙂",
    "{",
    "}",
    '"',
    "\\",
    "a:",
    "name: ",
    "|>",
    "<",
)
GAPS = (" ", "  ", "\n", "\n\n", "\t", "")
CONTROLS = sorted(
    {t.content for n in NAMES for t in chat_tokenizer(n).added_tokens_decoder.values() if t.content.strip()}
)

plain = st.lists(st.sampled_from((*WORDS, *GAPS)), min_size=1, max_size=8).map("".join)
typed = st.lists(st.sampled_from((*WORDS, *GAPS, *CONTROLS)), min_size=1, max_size=8).map("".join)
json_leaves = st.one_of(
    st.booleans(), st.none(), st.integers(-9, 10**6), st.sampled_from((0.5, -2.25)), typed
)
arguments = st.dictionaries(
    st.sampled_from(("a", "b", "<|im_end|>")), json_leaves | st.lists(json_leaves, max_size=2), max_size=3
)


@cache
def template(name: str) -> ChatTemplate:
    return ChatTemplate(chat_tokenizer(name))


@st.composite
def conversations(draw, text=typed, tools=True):
    """Lines as a view makes them; every segment that is said has a turn of its own, so that its tokens can be told."""
    count = iter(range(10_000))

    def said(phase, author):
        return Segment(text=draw(text), phase=phase, author=author, turn=next(count), origin="given")

    def line(role, phase, author, n=1, **more):
        segments = (
            [] if n else [Segment(text="", phase=phase, author=author, turn=next(count), origin="given")]
        )
        for i in range(n):
            segments += (
                [markup(f"{author}: ")] * (n > 1) + [said(phase, author)] + [markup("\n\n")] * (i + 1 < n)
            )
        return Line(role=role, segments=tuple(segments), kind="turn", **more)

    lines = [line("system", "prompt", "system", draw(st.integers(1, 2)))] if draw(st.booleans()) else []
    for _ in range(draw(st.integers(1, 3))):
        kind = draw(st.sampled_from(("talk", "talk", "trail", "system") if tools else ("talk", "system")))
        if not any(x.role == "user" for x in lines) or draw(
            st.integers(0, 3)
        ):  # sometimes nobody speaks in between
            lines.append(line("user", "prompt", "bob", draw(st.integers(1, 2))))
        if kind == "trail":
            calls = tuple(
                ToolCall(id=f"id-{next(count)}", name="look", arguments=draw(arguments))
                for _ in range(draw(st.integers(1, 2)))
            )
            lines.append(line("assistant", "answer", "al", draw(st.integers(0, 1)), calls=calls))
            lines += [line("tool", "tool", "tool", call_id=c.id, call_name=c.name) for c in calls]
        if kind == "system":
            lines.append(line("system", "prompt", "system"))
        elif kind == "talk" or draw(st.booleans()):  # a demanded call is answered by nobody
            lines.append(line("assistant", "answer", "al"))
    if draw(st.booleans()):
        lines.append(line("user", "prompt", "eve"))
    lines.append(line("user", "prompt", "bob"))
    return tuple(lines)


def rendered(name, lines, tools=()):
    return template(name).render(Request(model="m", lines=lines, speaker="al", turn=10_000, tools=tools))


@pytest.mark.parametrize("name", NAMES)
@given(lines=conversations())
def test_every_template_accepts_what_conform_makes_of_it(name, lines):
    """Promises 3, 5: no line is refused, spans partition the ids, only known losses; calls keep their turns."""
    chat = template(name)
    tools = (TOOL,) if any(line.calls for line in lines) else ()
    result = rendered(name, lines, tools)
    assert partitions(result.spans, len(result.token_ids))
    conformed = conform(lines, chat.rules)
    assert conform(conformed, chat.rules) == conformed
    lost = {s.turn for at, what in result.omitted for s in conformed[at].segments if "beside" in what}
    seen = [
        s.turn for s in result.spans if s.phase != "markup" and s.author is not None and s.phase != "tool"
    ]
    assert len([t for t in seen if t is not None]) == len({t for t in seen if t is not None})
    called = {line.segments[-1].turn for line in lines if line.calls}
    calls = [s for s in result.spans if s.role == "assistant" and s.phase == "tool"]
    assert {s.turn for s in calls} == called
    assert {s.author for s in calls} <= {"al"}
    for line in lines:
        for segment in line.segments:
            if segment.turn is not None and segment.turn not in lost and len(segment.text.strip()) > 12:
                assert any(s.turn == segment.turn and s.author == segment.author for s in result.spans)


@pytest.mark.parametrize("name", BYTE_LEVEL)
@given(lines=conversations(tools=False))
def test_each_segments_tokens_spell_it_up_to_straddling_tokens(name, lines):
    """Promise 3: a token belongs to the piece that its last character stands in; all bytes are there, in order."""
    result = rendered(name, lines)
    pieces = [_bytes(name, i) for i in result.token_ids]
    assert b"".join(pieces) == result.text.encode()
    trims = template(name).facts.trims != "none"
    for line in lines:
        for segment in line.segments:
            if segment.turn is None:
                continue
            texts = (segment.text, segment.text.lstrip(), segment.text.rstrip(), segment.text.strip())
            spans = [s for s in result.spans if s.turn == segment.turn and s.author == segment.author]
            assert len(spans) <= 1
            if spans:
                ways = texts if trims else texts[:1]
                assert any(_spells(t.encode(), pieces, spans[0].start, spans[0].stop) for t in ways)


def _spells(text: bytes, pieces: list[bytes], start: int, stop: int) -> bool:
    said = b"".join(pieces[start:stop])
    after = b"".join(pieces[stop : stop + 1])
    for extra in range(len(pieces[start])):
        rest = said[extra:]
        if text.startswith(rest) and after.startswith(text[len(rest) :]):
            return True
    return False


@cache
def _bytes(name: str, token_id: int) -> bytes:
    tokenizer = chat_tokenizer(name)
    added = tokenizer.added_tokens_decoder.get(token_id)
    if added is not None:
        return added.content.encode()
    alphabet = {}
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in printable]
    alphabet.update({chr(b): b for b in printable} | {chr(256 + n): b for n, b in enumerate(others)})
    return bytes(alphabet[c] for c in tokenizer.convert_ids_to_tokens(token_id))


@pytest.mark.parametrize("name", NAMES)
@given(lines=conversations(text=plain, tools=False))
def test_sections_are_the_whole_when_no_control_string_is_typed(name, lines):
    """Promise 3: encoding in sections gives what the tokenizer alone gives for the text."""
    result = rendered(name, lines)
    assert list(result.token_ids) == chat_tokenizer(name).encode(result.text, add_special_tokens=False)


@pytest.mark.parametrize("name", NAMES)
@given(lines=conversations())
def test_typed_control_strings_add_no_control_token(name, lines):
    """Promise 4: the control tokens are those of the same conversation about nothing."""
    tools = (TOOL,) if any(line.calls for line in lines) else ()
    controls = {i for i, t in chat_tokenizer(name).added_tokens_decoder.items() if t.content.strip()}
    innocent = tuple(_without_controls(line) for line in lines)
    tame = (TOOL.__class__(name="look", description="looks", parameters=TOOL.parameters),) if tools else ()
    assert _controls(rendered(name, lines, tools), controls) == _controls(
        rendered(name, innocent, tame), controls
    )


def _controls(result, controls):
    return [i for i in result.token_ids if i in controls]


def _without_controls(line: Line) -> Line:
    import msgspec

    segments = tuple(msgspec.structs.replace(s, text="x" if s.text else "") for s in line.segments)
    calls = tuple(msgspec.structs.replace(c, arguments={}) for c in line.calls)
    return msgspec.structs.replace(line, segments=segments, calls=calls)


@given(text=plain)
def test_the_words_are_normal(text):
    """The laws above compare bytes, so what is said must be what NFC leaves alone."""
    assert unicodedata.normalize("NFC", text) == text
