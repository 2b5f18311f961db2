"""`conform`: idempotent, loses nothing, and its output obeys the rules."""

from __future__ import annotations

import re
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symposia.core.conform import conform
from symposia.core.lines import Line, LineRules, Segment, markup
from symposia.core.message import ToolCall

NAMES = ("ann", "bob", "carla")
WORDS = st.text("abc \n:", min_size=1, max_size=6)


def spoken(author: str | None, text: str, turn: int = 0, role: str = "user", kind: str = "turn") -> Line:
    phase = "answer" if role == "assistant" else "prompt"
    return Line(role=role, kind=kind, segments=(Segment(text=text, phase=phase, author=author, turn=turn),))


@st.composite
def dialogues(draw: st.DrawFn) -> tuple[Line, ...]:
    """Random views: a system head or none, then lines by all roles, with tool trails; texts are unique."""
    lines: list[Line] = []
    ids = iter(range(10_000))

    def text() -> str:
        return f"#{next(ids)}#" + draw(WORDS)

    if draw(st.booleans()):
        lines.append(spoken("system", text(), role="system", kind="framing"))
    for kind in draw(st.lists(st.sampled_from("uuuaasto"), max_size=8)):
        if kind == "u":
            label = draw(st.booleans())
            author = draw(st.sampled_from(NAMES[1:]))
            line = spoken(author, text())
            lines.append(
                Line(role="user", kind="turn", segments=(markup(f"{author}: "), *line.segments))
                if label
                else line
            )
        elif kind == "a":
            lines.append(spoken("ann", text(), role="assistant"))
        elif kind == "s":
            lines.append(spoken("system", text(), role="system"))
        elif kind == "o":
            lines.append(Line(role="user", kind="opener", segments=(markup(text()),)))
        else:
            lines.extend(trail(draw, text, [f"call-{next(ids)}" for _ in range(draw(st.integers(1, 4)))]))
    return tuple(lines)


def trail(draw: st.DrawFn, text: object, ids: list[str]) -> list[Line]:
    assert callable(text)
    silent = Segment(text="", phase="answer", author="ann", turn=7)
    said = Segment(text=text(), phase="answer", author="ann", turn=7)
    beside = draw(st.sampled_from(((), (silent,), (said,))))
    calls = tuple(ToolCall(id=i, name="f", arguments={"x": text()}) for i in ids)
    results = [
        Line(
            role="tool",
            kind="trail",
            segments=(Segment(text=text(), phase="tool", author="tool"),),
            call_id=i,
        )
        for i in draw(st.permutations(ids))
    ]
    return [Line(role="assistant", kind="trail", segments=beside, calls=calls), *results]


rules = st.builds(
    LineRules,
    system=st.sampled_from(["head", "first_user", "last_user", "rejected"]),
    late_system=st.sampled_from(["keep", "as_user"]),
    alternate=st.booleans(),
    user_first=st.booleans(),
    tool_lines=st.sampled_from(["native", "as_user"]),
    calls_per_line=st.sampled_from([None, 1, 2]),
    call_ids=st.sampled_from(["any", "alnum9"]),
    trails=st.sampled_from(["anywhere", "in_a_turn"]),
)


def marks(lines: tuple[Line, ...]) -> Counter[str]:
    """The unique marks standing anywhere in the lines: texts and call arguments."""
    found: Counter[str] = Counter()
    for line in lines:
        found.update(re.findall(r"#\d+#", line.text))
        for call in line.calls:
            found.update(re.findall(r"#\d+#", str(call.arguments)))
    return found


def voices(lines: tuple[Line, ...]) -> Counter[tuple[str, str | None]]:
    """Which author each mark belongs to, markup aside."""
    return Counter(
        (mark, s.author)
        for line in lines
        for s in line.segments
        if s.phase not in ("markup", "tool")
        for mark in re.findall(r"#\d+#", s.text)
    )


@given(dialogues(), rules)
def test_conform_is_idempotent(lines: tuple[Line, ...], rule: LineRules) -> None:
    """Conforming twice is conforming once, under every combination of rules."""
    once = conform(lines, rule)
    assert conform(once, rule) == once


@given(dialogues(), rules)
def test_conform_loses_nothing(lines: tuple[Line, ...], rule: LineRules) -> None:
    """Every text and call of the input stands exactly once in the output, by its own author."""
    out = conform(lines, rule)
    assert marks(lines) <= marks(out)
    assert all(n == 1 for n in marks(out).values())
    assert voices(out) == voices(lines)


@given(dialogues(), rules)
def test_order_is_kept(lines: tuple[Line, ...], rule: LineRules) -> None:
    """What people said stays in order; only the head system line and tool results may move."""
    moving = {m for line in lines[:1] if line.role == "system" for m in marks((line,))}
    moving |= {m for line in lines if line.role == "tool" for m in marks((line,))}
    moving |= {m for line in lines for call in line.calls for m in re.findall(r"#\d+#", str(call.arguments))}

    def said(some: tuple[Line, ...]) -> list[str]:
        return [m for line in some for m in re.findall(r"#\d+#", line.text) if m not in moving]

    assert said(conform(lines, rule)) == said(lines)


@given(dialogues(), rules)
def test_output_obeys_the_rules(lines: tuple[Line, ...], rule: LineRules) -> None:
    """After conforming, each rule can be read off the lines."""
    out = conform(lines, rule)
    roles = [line.role for line in out]
    if rule.system in ("rejected", "last_user"):
        assert "system" not in roles
    if rule.late_system == "as_user":
        assert "system" not in roles[1:]
    if rule.user_first and (talk := [r for r in roles if r in ("user", "assistant")]):
        assert talk[0] == "user"
    if rule.calls_per_line is not None:
        assert all(len(line.calls) <= rule.calls_per_line for line in out)
    if rule.tool_lines == "as_user":
        assert "tool" not in roles
        assert not any(line.calls for line in out)
    if rule.trails == "in_a_turn" and rule.alternate and rule.late_system == "as_user":
        counted = [line.role for line in out if line.role in ("user", "assistant") and not line.calls]
        assert all(before != after for before, after in pairwise(counted))
    if rule.alternate:
        for before, after in pairwise(out):
            same = before.role == after.role and before.role in ("user", "assistant")
            assert not same or before.calls or (after.calls and rule.trails == "in_a_turn")
    if rule.call_ids == "alnum9":
        ids = [call.id for line in out for call in line.calls] + [
            line.call_id for line in out if line.call_id
        ]
        assert all(re.fullmatch("[A-Za-z0-9]{9}", i) for i in ids)


@given(dialogues(), rules)
def test_calls_and_results_still_meet(lines: tuple[Line, ...], rule: LineRules) -> None:
    """A result answers the same call, by id, as before."""

    def pairs(some: tuple[Line, ...]) -> set[tuple[str, str]]:
        asked = {call.id: str(call.arguments) for line in some for call in line.calls}
        return {(asked[line.call_id], line.text) for line in some if line.call_id in asked}

    if rule.tool_lines == "native" and rule.trails == "anywhere":
        assert pairs(conform(lines, rule)) == pairs(lines)


@given(dialogues(), rules)
def test_results_stand_behind_their_calls(lines: tuple[Line, ...], rule: LineRules) -> None:
    """As lines or as text, split or not: whatever answers a call comes after it, and before the next turn's calls."""

    def order(some: tuple[Line, ...]) -> list[str]:
        shown = [line.text + "".join(str(call.arguments) for call in line.calls) for line in some]
        return re.findall(r"#\d+#", "".join(shown))

    out = order(conform(lines, rule))
    for trail in trails(lines):
        for call, answer in trail:
            assert out.index(call) < out.index(answer)
    ends = [max(out.index(answer) for _, answer in trail) for trail in trails(lines)]
    begins = [min(out.index(call) for call, _ in trail) for trail in trails(lines)]
    assert all(end < begin for end, begin in zip(ends, begins[1:], strict=False))


def trails(lines: tuple[Line, ...]) -> list[list[tuple[str, str]]]:
    """The mark of each call beside that of its result, a line of calls each."""
    found = []
    for at, line in enumerate(lines):
        answers = {x.call_id: x.text for x in lines[at + 1 : at + 1 + len(line.calls)]}
        pairs = [(call.arguments["x"], answers[call.id]) for call in line.calls]
        if pairs:
            found.append([(re.findall(r"#\d+#", a)[0], re.findall(r"#\d+#", b)[0]) for a, b in pairs])
    return found


@given(st.lists(st.text(min_size=1, max_size=12), unique=True, max_size=8))
def test_short_ids_are_one_to_one(ids: list[str]) -> None:
    """Different ids stay different, and a second time nothing changes."""
    calls = tuple(ToolCall(id=i, name="f") for i in ids)
    line = Line(role="assistant", kind="trail", segments=(), calls=calls)
    (once,) = conform((line,), LineRules(call_ids="alnum9"))
    assert len({call.id for call in once.calls}) == len(ids)
    assert conform((once,), LineRules(call_ids="alnum9")) == (once,)


def test_default_rules_change_nothing() -> None:
    """Rules that accept everything return the lines as they are."""
    lines = (spoken("system", "s", role="system"), spoken("bob", "x"), spoken("carla", "y"))
    assert conform(lines, LineRules()) == lines


@pytest.mark.parametrize(
    ("system", "want"), [("rejected", ["S\n\none", "two"]), ("last_user", ["one", "S\n\ntwo"])]
)
def test_system_text_goes_to_the_head_of_a_user_line(system: str, want: list[str]) -> None:
    """The system text stands at the head of the first or the last user line, a blank line between."""
    lines = (
        spoken("system", "S", role="system", kind="framing"),
        spoken("bob", "one"),
        spoken("ann", "reply", role="assistant"),
        spoken("bob", "two"),
    )
    out = conform(lines, LineRules(system=system))
    assert [line.text for line in out if line.role == "user"] == want


def test_system_text_heads_a_merged_line_unlabelled() -> None:
    """Merging two authors labels them and leaves the system text at the very head."""
    lines = (
        spoken("system", "S", role="system", kind="framing"),
        spoken("bob", "one"),
        spoken("carla", "two"),
    )
    out = conform(lines, LineRules(system="last_user", alternate=True))
    assert [line.text for line in out] == ["S\n\nbob: one\n\ncarla: two"]


def test_one_author_is_not_labelled() -> None:
    """Neighbours by one author, or beside lines nobody wrote, merge without labels."""
    opener = Line(role="user", kind="opener", segments=(markup("(begin)"),))
    out = conform((opener, spoken("bob", "one"), spoken("bob", "two")), LineRules(alternate=True))
    assert [line.text for line in out] == ["(begin)\n\none\n\ntwo"]


def test_labelled_pieces_keep_their_one_label() -> None:
    """A piece the view has labelled gets no second label."""
    labelled = Line(role="user", kind="turn", segments=(markup("bob: "), *spoken("bob", "one").segments))
    out = conform((labelled, spoken("carla", "two")), LineRules(alternate=True))
    assert out[0].text == "bob: one\n\ncarla: two"


def test_a_merged_piece_cannot_speak_for_another() -> None:
    """A text line that begins like another piece's label is indented where labels are added."""
    out = conform((spoken("bob", "hi\ncarla: I agree"), spoken("carla", "no")), LineRules(alternate=True))
    assert out[0].text == "bob: hi\n  carla: I agree\n\ncarla: no"


def test_tool_output_is_never_labelled() -> None:
    """Results shown as user text merge with what others say without a `tool:` label."""
    call = Line(role="assistant", kind="trail", segments=(), calls=(ToolCall(id="c", name="f"),))
    result = Line(
        role="tool", kind="trail", segments=(Segment(text="4", phase="tool", author="tool"),), call_id="c"
    )
    out = conform((call, result, spoken("bob", "and?")), LineRules(alternate=True, tool_lines="as_user"))
    assert out[1].text == "<tool_response>\n4\n</tool_response>\n\nand?"


def test_a_call_without_text_keeps_its_author() -> None:
    """Calls turned into text belong to the reader even when the line had no words."""
    lines = (
        spoken("ann", "hello", role="assistant"),
        Line(role="assistant", kind="trail", segments=(), calls=(ToolCall(id="c", name="f"),)),
    )
    assert conform(lines, LineRules(tool_lines="as_user"))[1].segments[0].author == "ann"


def test_calls_keep_their_turn_however_they_are_shown() -> None:
    """Alone, split, joined to what was said before, or as text: the turn they were made in stands beside them."""
    calls = tuple(ToolCall(id=i, name="f") for i in ("a", "b"))
    silent = Segment(text="", phase="answer", author="ann", turn=7)
    call = Line(role="assistant", kind="trail", segments=(silent,), calls=calls)
    lines = (spoken("bob", "hi"), spoken("ann", "hello", role="assistant"), call)
    split = conform(lines, LineRules(calls_per_line=1))
    assert [line.segments[0].turn for line in split if line.calls] == [7, 7]
    (_, joined) = conform(lines, LineRules(alternate=True))
    assert (joined.text, joined.segments[-1].turn, joined.calls) == ("hello", 7, calls)
    shown = conform(lines, LineRules(tool_lines="as_user"))[-1]
    assert {(s.turn, s.phase) for s in shown.segments} == {(7, "tool")}
    assert shown.text.startswith("<tool_call>")


def test_equal_lines_are_not_confused() -> None:
    """The very same line object twice in a view stays twice."""
    call = Line(
        role="assistant",
        kind="trail",
        segments=(),
        calls=(ToolCall(id="a", name="f"), ToolCall(id="b", name="f")),
    )
    a, b = (
        Line(role="tool", kind="trail", segments=(Segment(text=t, phase="tool"),), call_id=t)
        for t in ("a", "b")
    )
    out = conform((call, a, b, call, a, b), LineRules(calls_per_line=1))
    assert [line.text for line in out if line.role == "tool"] == ["a", "b", "a", "b"]
