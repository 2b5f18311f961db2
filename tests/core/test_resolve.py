"""Selectors: `resolve` against a second, naive reading of the definition."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symposia.core.errors import EmptySelection, InvalidInput, UnsupportedRequest
from symposia.core.positions import (
    Positions,
    Range,
    Where,
    answer,
    answer_end,
    answer_start,
    everything,
    first,
    last,
    members,
    prompt,
    runs,
    said_by,
    speaking,
    spoken,
    turn,
)
from symposia.core.resolve import check_given, resolve
from symposia.core.span import Span, partitions

PHASES = ("prompt", "reasoning", "answer", "tool", "markup")
TURN = 4  # the turn being made
SPECIAL = 0  # a token id the tokenizer calls special


@st.composite
def sequences(draw: st.DrawFn) -> tuple[tuple[Span, ...], tuple[int, ...]]:
    """A partition into spans, the last possibly generated, with token ids."""
    spans: list[Span] = []
    end = 0
    for _ in range(draw(st.integers(1, 6))):
        size = draw(st.integers(1, 4))
        made = draw(st.booleans()) and draw(st.booleans())
        spans.append(
            Span(
                start=end,
                stop=end + size,
                role="assistant"
                if made
                else draw(st.sampled_from(["system", "user", "assistant", "tool", None])),
                phase=draw(st.sampled_from(PHASES)),
                author="ann" if made else draw(st.sampled_from(["ann", "bob", None])),
                turn=TURN if made else draw(st.sampled_from([None, 0, 1, 2, 3])),
                generated=made,
            )
        )
        end += size
    return tuple(spans), tuple(draw(st.lists(st.integers(0, 3), min_size=end, max_size=end)))


@st.composite
def ranges(draw: st.DrawFn) -> Range:
    start = draw(st.integers(-4, 4))
    stop = draw(st.one_of(st.none(), st.integers(-4, 5)))
    try:
        return Range(start, stop)
    except InvalidInput:
        return Range(start, None)


def some(values: Sequence[str]) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from(values), max_size=2).map(tuple)


wheres = st.builds(
    Where,
    roles=some(["system", "user", "assistant", "tool"]),
    phases=some(PHASES),
    authors=some(["ann", "bob", "self", "others"]),
    turns=st.lists(ranges(), max_size=1).map(tuple),
    back=st.lists(ranges(), max_size=1).map(tuple),
    made=st.sampled_from(["any", "given", "generated"]),
    tokens=st.lists(ranges(), max_size=2).map(tuple),
    within=st.sampled_from(["span", "turn", "sequence"]),
    lead=st.booleans(),
    special=st.booleans(),
)
positions = st.builds(
    Positions,
    any=st.lists(wheres, min_size=1, max_size=2).map(tuple),
    minus=st.lists(wheres, max_size=1).map(tuple),
)


def naive(where: Where, spans: tuple[Span, ...], ids: tuple[int, ...]) -> set[int]:
    """Token by token, by the words of the definition."""

    def inside(r: Range, index: int, length: int) -> bool:
        return index in list(range(length))[r.start : r.stop]

    def eligible(p: int) -> bool:
        span = next(s for s in spans if s.start <= p < s.stop)
        mine = {"ann": "self", None: None}.get(span.author, "others")
        return all(
            (
                not where.roles or span.role in where.roles,
                not where.phases or span.phase in where.phases,
                not where.authors
                or (span.author is not None and bool({span.author, mine} & set(where.authors))),
                where.made == "any" or span.generated == (where.made == "generated"),
                not where.turns
                or (span.turn is not None and any(inside(r, span.turn, TURN + 1) for r in where.turns)),
                not where.back
                or (span.turn is not None and any(inside(r, TURN - span.turn, TURN + 1) for r in where.back)),
                where.special or (span.phase != "markup" and ids[p] != SPECIAL and p != 0),
            )
        )

    def unit(p: int) -> object:
        index = next(i for i, s in enumerate(spans) if s.start <= p < s.stop)
        return {"span": index, "turn": spans[index].turn, "sequence": 0}[where.within]

    found = [p for p in range(len(ids)) if eligible(p)]
    if where.tokens:
        kept = []
        for p in found:
            peers = [q for q in found if unit(q) == unit(p)]
            if any(inside(r, peers.index(p), len(peers)) for r in where.tokens):
                kept.append(p)
        found = kept
    leads = {p - 1 for p in found if where.lead and p > 0 and p - 1 not in found}
    return set(found) | leads


@given(sequences(), positions)
def test_resolve_agrees_with_the_naive_reading(
    sequence: tuple[tuple[Span, ...], tuple[int, ...]], selector: Positions
) -> None:
    """On random sequences and selectors, resolve selects what the definition says, as disjoint runs."""
    spans, ids = sequence
    assert partitions(spans, len(ids))
    wanted = set().union(*(naive(w, spans, ids) for w in selector.any))
    wanted -= set().union(*(naive(w, spans, ids) for w in selector.minus))
    found = resolve(selector, spans, ids, "ann", TURN, specials={SPECIAL})
    assert members(found) == sorted(wanted)
    assert all(a < b for a, b in found)
    assert all(one[1] < two[0] for one, two in pairwise(found))


@given(st.sets(st.integers(0, 40)))
def test_runs_and_members_are_inverse(chosen: set[int]) -> None:
    """Runs hold exactly the positions they were made of."""
    assert members(runs(chosen)) == sorted(chosen)


def span(
    start: int,
    stop: int,
    phase: str = "prompt",
    author: str | None = "bob",
    turn: int | None = 0,
    **more: object,
) -> Span:
    role = more.pop("role", "user")
    return Span(start=start, stop=stop, role=role, phase=phase, author=author, turn=turn, **more)


DIALOGUE = (
    span(0, 1, "markup", None, None, role=None),
    span(1, 4),  # bob: turn 0
    span(4, 5, "markup", None, 1, role="assistant"),
    span(5, 8, "answer", "ann", 1, role="assistant"),
    span(8, 11, "prompt", "bob", 2),
    span(11, 12, "markup", None, 3, role="assistant"),
    span(12, 14, "answer", "ann", 3, role="assistant", generated=True),
)
IDS = tuple(range(1, 15))


@pytest.mark.parametrize(
    ("selector", "want"),
    [
        (speaking(), ((4, 8), (11, 14))),
        (spoken(), ((12, 14),)),
        (everything(), ((0, 14),)),
        (prompt(), ((1, 4), (8, 11))),
        (answer(), ((5, 8), (12, 14))),
        (said_by("bob"), ((1, 4), (8, 11))),
        (turn(1), ((5, 8),)),
        (turn(-1), ((12, 14),)),
        (first(1), ((1, 2), (5, 6), (8, 9))),
        (last(2), ((2, 4), (6, 8), (9, 11))),
        (answer_end(), ((7, 8),)),
        (answer_start(), ((4, 5),)),
        (everything() - prompt(), ((0, 1), (4, 8), (11, 14))),
        (turn(0) | turn(2), ((1, 4), (8, 11))),
    ],
)
def test_constructors_select_what_they_say(selector: Positions, want: tuple[tuple[int, int], ...]) -> None:
    """Each constructor's promise on one dialogue."""
    assert resolve(selector, DIALOGUE, IDS, "ann", 3) == want


def find(text: str) -> tuple[tuple[int, int], ...]:
    return {"fox": ((2, 3), (9, 10))}.get(text, ())


def test_text_selects_its_tokens() -> None:
    """A text clause is narrowed by the other fields."""
    selector = Positions(any=(Where(text=("fox",), turns=(Range(2, 3),)),))
    assert resolve(selector, DIALOGUE, IDS, "ann", 3, find=find) == ((9, 10),)
    with pytest.raises(UnsupportedRequest):
        resolve(selector, DIALOGUE, IDS, "ann", 3)


GIVEN = DIALOGUE[:-1]


@pytest.mark.parametrize(
    ("where", "why"),
    [
        (Where(authors=("eve",)), "no span is by 'eve'"),
        (Where(turns=(Range(9, 10),)), "outside 0..3"),
        (Where(text=("cat",), made="given"), "stands in the given text"),
        (Where(text=("fox",), roles=("system",)), "nothing given matches"),
        (Where(made="given", phases=("reasoning",)), "nothing given matches"),
        (Where(phases=("prompt",), roles=("system",)), "nothing given matches"),
    ],
)
def test_what_selects_nothing_is_refused_with_the_spans(where: Where, why: str) -> None:
    """Before the first token, a selector that can never match raises, listing the spans there are."""
    with pytest.raises(EmptySelection, match=why) as caught:
        check_given(Positions(any=(where,)), GIVEN, IDS[:12], "ann", 3, find, "m")
    assert "0:bob:user:prompt" in str(caught.value)


@pytest.mark.parametrize(
    ("where", "field"),
    [
        (Where(tokens=(Range(-1, None),)), "positions.tokens"),
        (Where(tokens=(Range(0, -1),), phases=("answer",)), "positions.tokens"),
        (Where(text=("fox",), made="generated"), "positions.text"),
    ],
)
def test_an_end_not_yet_known_is_refused(where: Where, field: str) -> None:
    """Counting from the end of the turn being made is refused by name."""
    with pytest.raises(UnsupportedRequest, match=field):
        check_given(Positions(any=(where,)), GIVEN, IDS[:12], "ann", 3, find, "m")


@pytest.mark.parametrize(
    "selector",
    [
        speaking(),
        spoken(),
        last(1),
        answer_end(),
        everything() - said_by("bob"),
        answer() - Positions(any=(Where(phases=("reasoning",), made="given"),)),
    ],
)
def test_what_can_match_is_accepted(selector: Positions) -> None:
    """What generated tokens may meet, what given tokens meet, and an empty subtraction pass."""
    check_given(selector, GIVEN, IDS[:12], "ann", 3, find, "m")


@pytest.mark.parametrize(("start", "stop"), [(2, 2), (3, 1), (-1, -1), (-1, -3), (0, 0)])
def test_a_range_of_nothing_is_refused(start: int, stop: int) -> None:
    """A range that cannot hold an index says so."""
    with pytest.raises(InvalidInput, match="holds nothing"):
        Range(start, stop)


def test_selections_that_cannot_be_written_are_refused() -> None:
    """Joining after a subtraction is ambiguous; an empty selection and last(0) select nothing by mistake."""
    with pytest.raises(InvalidInput, match=r"\(a \| b\) - c"):
        _ = (everything() - prompt()) | answer()
    with pytest.raises(InvalidInput, match=r"a - \(b \| c\)"):
        _ = everything() - (prompt() - answer())
    with pytest.raises(InvalidInput, match="at least one clause"):
        Positions(any=())
    with pytest.raises(InvalidInput, match="positive"):
        last(0)
