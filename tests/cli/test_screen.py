"""Text on its way to the terminal."""

from __future__ import annotations

import io
import re
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from symposia.cli.demo.columns import Cell, side_by_side
from symposia.cli.flow import Flow
from symposia.cli.screen import Screen
from symposia.cli.table import Table
from symposia.cli.terminal import Terminal, colour_of
from symposia.core.events import GenerationRetried, ToolCalled, ToolReturned, TurnDenied, TurnTaken
from symposia.core.message import NOBODY, Message, Signal, Text, ToolCall, ToolResult, said
from symposia.core.palette import DARK, ENOUGH, LIGHT, contrast
from symposia.core.request import About, Delta

TEXTS = st.text(alphabet="ab é界🙂\n ", max_size=120)


class Person(io.StringIO):
    """A terminal nobody needs to own."""

    def isatty(self) -> bool:
        return True

    def seen(self) -> str:
        """What stands there, without colours, its words one blank apart."""
        return " ".join(re.sub(r"\x1b\[[0-9;]*m", "", self.getvalue()).split())


def flowed(pieces: list[str], width: int = 30, indent: int = 4) -> str:
    out: list[str] = []
    flow = Flow(out.append, indent=indent, width=width)
    for piece in pieces:
        flow.feed(piece)
    flow.end()
    return "".join(out)


@given(TEXTS, st.lists(st.integers(0, 120), max_size=6))
def test_any_chunking_is_the_whole(text: str, cuts: list[int]) -> None:
    """However a reply arrives, it looks the same."""
    ends = sorted({0, *cuts, len(text)})
    pieces = [text[a:b] for a, b in pairwise(ends)]
    assert flowed(pieces) == flowed([text])


@given(TEXTS)
def test_words_stay_whole(text: str) -> None:
    """Wrapping moves words; it loses and breaks none, and a line is too long only if a word is."""
    shown = flowed([text])
    assert shown.split() == text.split()
    for line in shown.splitlines()[1:]:
        assert not line.strip() or line.startswith("    ")


def person() -> tuple[Terminal, Person]:
    stream = Person()
    return Terminal(stream, {"TERM": "xterm-256color", "COLUMNS": "60"}), stream


def test_streamed_text_is_not_said_twice() -> None:
    """On a terminal a reply appears as it is made; its commit only ends the line."""
    out, stream = person()
    screen = Screen(out, ["alice", "bob"])
    about = About(speaker="alice")
    for piece in ("I dou", "bt ", "it."):
        screen.delta(about, Delta(text=piece))
    screen.event(TurnTaken(messages=(said("alice", "I doubt it."),)))
    screen.event(TurnTaken(messages=(said("bob", "So do I."),)))
    assert stream.seen().count("I doubt it.") == 1
    assert stream.seen().count("So do I.") == 1


def test_what_was_changed_is_said_again() -> None:
    """A draft that a hook changed, or a stream that began again, is marked; the committed text follows."""
    out, stream = person()
    screen = Screen(out, ["alice"])
    about = About(speaker="alice")
    screen.delta(about, Delta(text="too many words"))
    screen.event(TurnTaken(messages=(said("alice", "too many"),)))
    assert "changed before it was committed" in stream.seen()
    assert stream.seen().endswith("too many")
    screen.delta(about, Delta(text="cut of"))
    screen.event(GenerationRetried(about=about, cause="stream_truncated", wait_s=0, attempt=2))
    screen.delta(about, Delta(text="cut off"))
    screen.event(TurnTaken(messages=(said("alice", "cut off"),)))
    assert "(stream_truncated; once more)" in stream.seen()


def test_side_by_side_turns_do_not_mix() -> None:
    """Of a round's speakers the first is streamed; the others come whole."""
    out, stream = person()
    screen = Screen(out, ["ann", "ben"])
    for a, b in (("one ", "eins "), ("two", "zwei")):
        screen.delta(About(speaker="ann"), Delta(text=a))
        screen.delta(About(speaker="ben"), Delta(text=b))
    for name, text in (("ann", "one two"), ("ben", "eins zwei")):
        screen.event(TurnTaken(messages=(said(name, text),)))
    plain = stream.seen()
    assert "one two" in plain
    assert "eins zwei" in plain
    assert plain.index("one two") < plain.index("eins zwei")


def trail() -> tuple[Message, ...]:
    """Ann says something, calls a tool, reads its result and answers."""
    own = frozenset({"ann"})
    call = ToolCall(id="1", name="add", arguments={"a": 1})
    return (
        Message(author="ann", parts=(Text("Let me see."), call), audience=own, origin="sampled", as_of=0),
        Message(author="tool", parts=(ToolResult(id="1", name="add", text="1"),), audience=own),
        said("ann", "It is 1."),
    )


def test_tool_calls_are_shown_as_they_happen() -> None:
    """On a terminal: what was said, the call, its result, the answer, in that order and once each."""
    out, stream = person()
    screen = Screen(out, ["ann"])
    first, second = About(speaker="ann"), About(speaker="ann", call=1, purpose="tool")
    screen.delta(first, Delta(text="Let me see."))
    screen.delta(first, Delta(text='{"name": "add"}', phase="tool"))
    screen.event(ToolCalled(about=first, name="add", id="1", arguments={"a": 1}))
    screen.event(ToolReturned(about=first, name="add", id="1", seconds=0.0, error=False, text="1"))
    screen.delta(second, Delta(text="It is 1."))
    screen.event(TurnTaken(about=first, messages=trail()))
    assert stream.seen() == ('ann Let me see. ann calls add {"a":1} ann result of add: 1 ann It is 1.')
    screen.message(said("ann", "More."))
    assert screen._count == 4


def test_tool_calls_are_lines_elsewhere() -> None:
    """Where nobody looks, calls and results are lines with their index, to whom they were visible."""
    stream = io.StringIO()
    screen = Screen(Terminal(stream, {}), ["ann"])
    screen.event(ToolCalled(name="add", id="1"))
    screen.event(TurnTaken(messages=trail()))
    assert stream.getvalue() == (
        '[0] ann (to ann): Let me see.\n(calls) add {"a":1}\n'
        "[1] tool (to ann): (result of add) 1\n[2] ann: It is 1.\n"
    )


def test_plain_lines_elsewhere() -> None:
    """Where nobody looks, a message is a line with its index; a denied turn says so; no colour codes."""
    stream = io.StringIO()
    screen = Screen(Terminal(stream, {}), ["alice"])
    screen.delta(About(speaker="alice"), Delta(text="not yet"))
    screen.event(TurnTaken(messages=(said("alice", "hello", frozenset({"bob"})),)))
    denied = Message(author="bob", parts=(Signal("denied", "forbid: x"),), audience=NOBODY, origin="sampled")
    screen.event(TurnDenied(message=denied))
    assert stream.getvalue() == "[0] alice (to bob): hello\n[1] bob: (denied) forbid: x\n"


@given(st.text(min_size=1, max_size=20))
def test_names_have_readable_colours(name: str) -> None:
    """A name has one colour, readable on light and on dark."""
    for background in (LIGHT, DARK):
        assert colour_of(name, background) == colour_of(name, background)
        assert contrast(colour_of(name, background), background) >= ENOUGH


def test_empty_columns_are_left_out() -> None:
    """A table shows only columns in which something stands."""
    stream = io.StringIO()
    table = Table(("", "calls", "cached", "cost"))
    table.row("alice", "3", "0", "-")
    table.row("bob", "12", "0", "-")
    table.print(Terminal(stream, {}))
    assert stream.getvalue() == "       calls\nalice      3\nbob       12\n"


def test_two_columns_hold_both_texts() -> None:
    """Side by side, no word of either side is lost, and no line is wider than the terminal."""
    stream = io.StringIO()
    left, right = Cell("alice", "one two three " * 12, "warmth 0.1"), Cell("alice", "vier fünf " * 4)
    side_by_side(Terminal(stream, {}), ("as it is", "steered"), [(left, right)])
    lines = stream.getvalue().splitlines()
    assert max(map(len, lines)) <= 100
    one = " ".join(line[:48] for line in lines[2:]).split()
    other = " ".join(line[48:] for line in lines[2:]).split()
    assert one == ["alice:", *left.text.split(), *left.note.split()]
    assert other == ["alice:", *right.text.split()]
