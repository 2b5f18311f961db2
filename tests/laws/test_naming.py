"""A name made of its parts is the digest of the whole."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from symposia.core.errors import InvalidInput
from symposia.core.lines import Line, Segment
from symposia.core.message import ToolCall
from symposia.core.naming import Namer
from symposia.core.profile import Sampling
from symposia.core.request import About, Request
from symposia.core.toolspec import ToolSpec
from symposia.core.value import digest

sys.path.insert(0, str(Path(__file__).parent))
from variants import variants

REQUESTS = variants(Request)
NUMBERS = st.sampled_from([0, 1, 1.0, True, -1, 2**63, 2**70, 0.5, math.nan, math.inf, "1", None])
LOOSE = st.recursive(
    NUMBERS | st.text(max_size=3) | st.tuples(NUMBERS),
    lambda inner: st.dictionaries(st.sampled_from(["lines", "a", "é"]), inner, max_size=2),
    max_leaves=3,
)
"""What may stand in a field of any type: what JSON can hold, what it cannot, and what it changes."""
WORDS = st.text(max_size=4) | st.just('"lines":[]')
SEGMENTS = st.builds(
    Segment,
    text=WORDS,
    phase=st.sampled_from(["prompt", "answer", "markup"]),
    turn=st.none() | st.integers(0, 3) | NUMBERS,
)
SOUND = st.sampled_from(variants(Line)) | st.builds(
    Line,
    role=st.sampled_from(["user", "assistant"]),
    segments=st.tuples(SEGMENTS.filter(lambda s: type(s.turn) in (int, type(None)) and (s.turn or 0) >= 0)),
    kind=st.sampled_from(["framing", "turn", "trail", "cue", "opener"]),
)
ODD = st.builds(
    Line,
    role=st.sampled_from(["user", "nobody"]),
    segments=st.tuples(SEGMENTS) | st.lists(SEGMENTS, max_size=1),
    kind=st.just("turn"),
    calls=st.just(())
    | st.tuples(
        st.builds(ToolCall, id=st.just("i"), name=st.just("n"), arguments=st.fixed_dictionaries({"a": LOOSE}))
    ),
)
LINES = st.lists(SOUND, max_size=5)
FORCED = st.builds(
    ToolSpec,
    name=st.just("t"),
    description=WORDS,
    parameters=st.dictionaries(st.sampled_from(["lines", "type"]), LOOSE | st.just([]), max_size=2),
)
CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "seed": st.integers(0, 2**63) | NUMBERS,
        "turn": st.integers(0, 9) | NUMBERS,
        "about": st.builds(About, speaker=WORDS),
        "sampling": st.builds(Sampling, temperature=NUMBERS, max_tokens=st.integers(1, 9)),
        "speaker": WORDS,
        "date": st.none() | WORDS,
    },
)


def outcome(name: Callable[[], str]) -> str:
    """The name, or why it is refused."""
    try:
        return name()
    except InvalidInput as error:
        return f"refused: {error}"


def named(namer: Namer, request: Request) -> None:
    """Both ways to a name agree; and the request knows it afterwards."""
    expected = outcome(lambda: digest(replace(request, about=About())))
    assert outcome(lambda: namer.name(request)) == expected
    assert outcome(lambda: request.digest) == expected


@given(st.lists(st.tuples(LINES, st.integers(0, 3), CHANGES), min_size=1, max_size=5), st.data())
def test_requests_that_go_on_from_one_another(steps: list[tuple[list[Line], int, dict]], data: Any) -> None:
    """Whatever is added, taken back or changed from one request to the next, valid or not."""
    namer, lines = Namer(), ()
    base = replace(data.draw(st.sampled_from(REQUESTS)), **data.draw(CHANGES))
    for added, gone, changes in steps:
        lines = (*lines[: max(len(lines) - gone, 0)], *added)
        named(namer, replace(base, lines=lines, **changes))


@given(LINES, st.lists(ODD, min_size=1, max_size=2), CHANGES)
def test_what_is_refused_leaves_no_trace(sound: list[Line], odd: list[Line], changes: dict) -> None:
    """A line that cannot be named is refused in the words of the whole, and the next request is named all the same."""
    namer, base = Namer(), REQUESTS[0]
    for lines in ((*sound,), (*sound, *odd), (*sound, *odd, *sound), (*sound, *sound), [*sound]):
        named(namer, replace(base, lines=lines, **changes))


@given(LINES, FORCED, FORCED)
def test_a_tool_may_speak_of_lines(lines: list[Line], one: ToolSpec, other: ToolSpec) -> None:
    """The key that the lines stand under may stand elsewhere too."""
    namer, base = Namer(), replace(REQUESTS[0], force=None, schema=None, choices=())
    named(namer, replace(base, lines=tuple(lines), force=one))
    named(namer, replace(base, lines=tuple(lines), force=other, tools=(one,)))
    named(namer, replace(base, lines=tuple(lines), tools=(one, other)))
    named(namer, replace(base, lines=tuple(lines), schema=one.parameters))


@given(
    st.builds(Sampling, temperature=NUMBERS), st.lists(st.tuples(NUMBERS, NUMBERS), min_size=2, max_size=5)
)
def test_what_was_checked(sampling: Sampling, numbers: list[tuple[Any, Any]]) -> None:
    """Seed and index are all that changes from one turn to the next; neither hides what else must be refused."""
    namer, base = Namer(), replace(REQUESTS[0], sampling=sampling)
    for seed, turn in (*numbers, (1, 1), (2, 2)):
        named(namer, replace(base, seed=seed, turn=turn))
    named(namer, REQUESTS[0])
    named(namer, replace(base, turn=3))


def test_what_can_change_is_checked_every_time() -> None:
    """A tool's parameters are a dictionary that somebody else may hold."""
    parameters: dict[str, Any] = {"a": 1}
    tool = ToolSpec(name="t", description="", parameters=parameters)
    namer, base = Namer(), replace(REQUESTS[0], tools=(tool,), force=None, schema=None, choices=())
    for n, value in enumerate([1, 1.0, 2**70, math.nan, (1,)]):
        parameters["a"] = value
        named(namer, replace(base, turn=n))


def test_lines_that_are_equal_are_not_the_same() -> None:
    """Python takes True and 1.0 for 1; JSON does not."""
    namer, base = Namer(), REQUESTS[0]
    for turn in (1, True, 1, 1.0):
        segment = Segment(text="x", phase="prompt", turn=turn)
        named(namer, replace(base, lines=(Line(role="user", segments=(segment,), kind="turn"),)))


def test_what_was_hashed_is_not_hashed_again() -> None:
    """The state after a request is that of its lines that stay, the very same objects."""
    lines = [Line(role="user", segments=(), kind="turn", call_id=str(n)) for n in range(4)]
    cue = Line(role="user", segments=(), kind="cue")
    namer, base = Namer(), REQUESTS[0]
    namer.name(replace(base, lines=(*lines[:2], cue)))
    kept = vars(namer).copy()
    assert kept["_lines"] == tuple(lines[:2])
    namer.name(replace(base, lines=tuple(lines)))
    assert vars(namer)["_lines"] == tuple(lines)
