"""Fit policies: the fewest turns go, every result is measured, nothing is cut inside."""

from __future__ import annotations

import math

import pytest

from symposia.core.errors import ContextOverflow
from symposia.core.lines import Line, Segment
from symposia.core.message import Message, Text, ToolCall, ToolResult, said
from symposia.core.toolspec import ToolSpec
from symposia.core.transcript import Transcript
from symposia.talk.fit import (
    DropOldest,
    Fail,
    Fitted,
    NeedsSummary,
    Summarise,
    Window,
    bound,
    droppable,
    fit,
    joined,
    limits,
    summary_range,
)
from symposia.talk.view import ViewRules, view
from tests.company import person

NAMES = ("ann", "bob")


def words(lines: tuple[Line, ...]) -> int:
    return sum(len(line.text.split()) for line in lines)


def drive(policy, room: int, transcript: Transcript, measure=words, window: int | None = None):
    """Run the pure generator with `measure`; the result, and every view it asked about."""
    may_go = droppable(transcript.messages, "ann", "moderator")

    def build(dropped):
        return view(transcript, person("ann"), NAMES, ViewRules(), dropped=dropped, marker=policy.marker)

    asked: list[tuple[Line, ...]] = []
    search = fit(policy, limits(policy, "ann", room if window is None else window, 0, 0), may_go, build)
    try:
        lines = next(search)
        while True:
            asked.append(lines)
            lines = search.send(measure(lines))
    except StopIteration as done:
        return done.value, asked


def talk(n: int, length: int = 10) -> Transcript:
    framing = (said("system", "Be brief."), said("moderator", "Topic."))
    return Transcript((*framing, *(said(NAMES[i % 2], f"t{i} " + "w " * (length - 1)) for i in range(n))))


def spoken(fitted: Fitted) -> list[int]:
    return [s.turn for line in fitted.lines if line.kind == "turn" for s in line.segments]


def test_what_is_surely_short_enough_is_never_measured() -> None:
    """When bytes, 16 a line, tools and preamble cannot exceed the limit, no tokenizer is called."""
    fitted, asked = drive(Fail(), 10_000, talk(6))
    assert asked == []
    assert len(spoken(fitted)) == 6


def test_no_window_and_no_limit_is_no_fitting() -> None:
    """A model whose window nobody knows is sent everything, unmeasured."""
    policy = DropOldest()
    search = fit(policy, limits(policy, "ann", None, 10, 0), (), lambda dropped: ())
    with pytest.raises(StopIteration):
        next(search)


def test_fail_says_what_was_too_long() -> None:
    """Over the limit is ContextOverflow with tokens, limit, reserve and the three largest lines."""
    transcript = talk(4).append(said("bob", "long " * 50), said("ann", "longer " * 60))
    policy = Fail()
    search = fit(
        policy,
        limits(policy, "ann", 100, 30, 0),
        (),
        lambda dropped: view(transcript, person("ann"), NAMES, ViewRules(), dropped=dropped),
    )
    lines = next(search)
    with pytest.raises(ContextOverflow) as caught:
        search.send(words(lines))
    error = caught.value
    assert (error.tokens, error.limit, error.reserve, error.speaker) == (words(lines), 100, 30, "ann")
    assert len(error.largest) == 3
    assert "longer" in error.largest[0]


def test_the_smaller_of_window_and_limit_counts_less_the_reserve() -> None:
    """The room is min(window, limit) - reserve."""
    assert limits(Fail(limit=50), "ann", 80, 20, 0).room == 30
    assert limits(Fail(limit=90), "ann", 80, 20, 0).room == 60
    assert limits(Fail(limit=90), "ann", None, 20, 0).room == 70


@pytest.mark.parametrize("room", [40, 47, 75, 113, 199, 240, 395])
def test_drop_oldest_drops_the_fewest(room: int) -> None:
    """One turn fewer dropped would not fit; framing and the newest `keep` always stay."""
    transcript = talk(40)
    fitted, _ = drive(DropOldest(keep=2), room, transcript)
    may_go = droppable(transcript.messages, "ann", "moderator")
    gone = sum(stop - start for start, stop in fitted.dropped)
    assert words(fitted.lines) <= room
    assert gone >= 1
    one_fewer = view(transcript, person("ann"), NAMES, ViewRules(), dropped=joined(may_go[: gone - 1]))
    assert words(one_fewer) > room
    assert spoken(fitted) == list(range(2 + gone, 42))
    assert {"Be brief.", "Topic."} <= {line.text for line in fitted.lines}


@pytest.mark.parametrize("turns", [1, 2, 3, 7, 8, 33, 100])
def test_drop_oldest_measures_a_logarithm(turns: int) -> None:
    """At most log2(turns) + 2 views are measured, rounded up."""
    for room in range(25, 10 * turns + 5, max(1, turns)):
        fitted, asked = drive(DropOldest(keep=1), room, talk(turns))
        assert isinstance(fitted, Fitted)
        assert len(asked) <= math.ceil(math.log2(turns)) + 2


def test_drop_oldest_never_touches_the_newest() -> None:
    """When framing and the newest `keep` alone are too long, the turn fails."""
    with pytest.raises(ContextOverflow):
        drive(DropOldest(keep=3), 30, talk(10))


def test_drop_oldest_puts_the_marker_where_turns_are_missing() -> None:
    """The marker stands once, before what stayed, and is counted."""
    fitted, _ = drive(DropOldest(marker="(earlier talk left out)"), 40, talk(10))
    shown = [line.text for line in fitted.lines]
    assert shown.count("(earlier talk left out)") == 1
    assert words(fitted.lines) <= 40


@pytest.mark.parametrize("last", [1, 3, 8, 50])
def test_window_always_shows_the_newest(last: int) -> None:
    """Only the newest `last` turns are shown, short of the limit or not."""
    fitted, _ = drive(Window(last=last), 100_000, talk(20))
    assert len(spoken(fitted)) == min(last, 20)
    assert spoken(fitted)[-1] == 21


def test_window_is_measured_again() -> None:
    """A window of turns that is itself too long raises: the limit holds for every policy."""
    with pytest.raises(ContextOverflow):
        drive(Window(last=8), 40, talk(20))


def test_summarise_asks_for_the_oldest_once_too_long() -> None:
    """Over the limit, everything but the newest `keep` is to be summarised; under it, nothing."""
    policy = Summarise(keep=4, by="bob")
    needs, _ = drive(policy, 60, talk(10))
    assert isinstance(needs, NeedsSummary)
    assert (needs.start, needs.stop) == (2, 8)
    assert isinstance(drive(policy, 5000, talk(10))[0], Fitted)


def test_summarise_with_nothing_left_to_tell_overflows() -> None:
    """When only the newest `keep` are left and still too long, no summary can help."""
    with pytest.raises(ContextOverflow):
        drive(Summarise(keep=4, by="bob"), 20, talk(4))


def test_a_newer_summary_stands_for_the_older_ones_too() -> None:
    """The range of a second summary begins where the first one's began."""
    first = Message(author="moderator", parts=(Text("s"),), audience=frozenset({"ann"}), stands_for=(2, 5))
    messages = talk(8).append(first).messages
    needs = NeedsSummary(start=5, stop=9, tokens=1, limit=1, reserve=0)
    assert summary_range(messages, "ann", needs) == (2, 9)
    assert summary_range(messages, "bob", needs) == (5, 9)


def test_trails_go_with_their_turns() -> None:
    """A droppable range holds a turn with its whole trail; framing, summaries and what is unseen are in none."""
    own = frozenset({"ann"})
    first = Message(author="moderator", parts=(Text("early"),), audience=own, stands_for=(2, 3))
    messages = (
        said("system", "s"),
        said("moderator", "m"),
        said("bob", "q"),
        Message(author="ann", parts=(ToolCall(id="1", name="f"),), audience=own),
        Message(author="tool", parts=(ToolResult(id="1", name="f", text="2"),), audience=own),
        said("ann", "2"),
        said("bob", "hidden", frozenset({"carla"})),
        said("system", "late"),
        said("bob", "thanks"),
        first,
    )
    assert droppable(messages, "ann", "moderator") == ((3, 6), (8, 9))
    assert droppable(messages, "bob", "moderator") == ((2, 3), (5, 6), (6, 7), (8, 9))


def test_the_bound_is_over_every_measure() -> None:
    """The byte bound exceeds words, characters and bytes, and counts tools and preamble."""
    segment = Segment(text="naïve — 東京", phase="prompt")
    lines = (Line(role="user", segments=(segment,), kind="turn"),)
    spec = ToolSpec(name="f", description="d" * 100, parameters={})
    plain = bound(lines, (), 0)
    assert plain >= len(segment.text.encode())
    assert bound(lines, (spec,), 7) >= plain + 100 + 7


def test_neighbouring_ranges_are_told_as_one() -> None:
    """Dropped ranges are reported merged."""
    assert joined(((0, 1), (1, 3), (5, 6))) == ((0, 3), (5, 6))
