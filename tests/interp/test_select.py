"""A selector followed token by token agrees with `core.resolve` on the finished sequence (interp promise 9)."""

from __future__ import annotations

from hypothesis import assume, given
from hypothesis import strategies as st

from symposia.core.errors import EmptySelection, UnsupportedRequest
from symposia.core.positions import Positions, Range, Where, members
from symposia.core.resolve import resolve
from symposia.core.span import Span
from symposia.interp.select import Scene, Selector

SPECIALS = frozenset({0, 1})
AUTHORS = ("alice", "bob", None)
PHASES = ("prompt", "reasoning", "answer", "tool", "markup")
ROLES = ("system", "user", "assistant", "tool", None)
TURN = 3


@st.composite
def prompts(draw):
    """Spans of a prompt, in order, each a few tokens."""
    spans, start = [], 0
    for _ in range(draw(st.integers(1, 6))):
        stop = start + draw(st.integers(1, 4))
        spans.append(
            Span(
                start=start,
                stop=stop,
                role=draw(st.sampled_from(ROLES)),
                phase=draw(st.sampled_from(PHASES)),
                author=draw(st.sampled_from(AUTHORS)),
                turn=draw(st.sampled_from((None, 0, 1, 2, TURN))),
            )
        )
        start = stop
    return spans


ranges = st.one_of(
    st.builds(Range, st.integers(-3, 3)),
    st.builds(lambda start, length: Range(start, start + length), st.integers(0, 3), st.integers(1, 3)),
    st.builds(Range, st.integers(0, 2), st.integers(-2, -1)),
)
wheres = st.builds(
    Where,
    roles=st.lists(st.sampled_from(("user", "assistant")), max_size=1).map(tuple),
    phases=st.lists(st.sampled_from(PHASES), max_size=2, unique=True).map(tuple),
    authors=st.lists(st.sampled_from(("alice", "self", "others")), max_size=1).map(tuple),
    turns=st.lists(st.builds(Range, st.integers(0, 3)), max_size=1).map(tuple),
    back=st.lists(st.builds(Range, st.integers(0, 2)), max_size=1).map(tuple),
    made=st.sampled_from(("any", "given", "generated")),
    tokens=st.lists(ranges, max_size=2).map(tuple),
    within=st.sampled_from(("span", "turn", "sequence")),
    lead=st.booleans(),
    special=st.booleans(),
)
selections = st.builds(
    Positions,
    any=st.lists(wheres, min_size=1, max_size=2).map(tuple),
    minus=st.lists(wheres, max_size=1).map(tuple),
)
phases = st.lists(st.sampled_from(("reasoning", "answer", "tool", "markup")), min_size=1, max_size=12)


def generated(start, phases):
    """Spans of generated tokens: runs of one phase."""
    spans = []
    for position, phase in enumerate(phases, start=start):
        if spans and spans[-1].phase == phase:
            spans[-1] = span_at(spans[-1].start, position + 1, phase)
        else:
            spans.append(span_at(position, position + 1, phase))
    return spans


def span_at(start, stop, phase):
    fields = {"author": "alice", "turn": TURN, "origin": "sampled", "generated": True}
    return Span(start=start, stop=stop, role="assistant", phase=phase, **fields)


def own(spans, position):
    """The span a position is in, as far as it had come then."""
    span = next(s for s in spans if s.start <= position < s.stop)
    return span_at(span.start, position + 1, span.phase)


def scene_of(spans, ids):
    n = spans[-1].stop
    return Scene(
        spans=tuple(spans),
        token_ids=tuple(ids[:n]),
        reader="alice",
        turn=TURN,
        specials=SPECIALS,
        find=lambda _: (),
    )


def decidable(selection, scene):
    """Not refused as depending on an end that is not known yet; each clause asked for itself."""
    for where in selection.clauses:
        try:
            scene.check(Positions(any=(where,)), "m")
        except EmptySelection:
            continue
        except UnsupportedRequest:
            return False
    return True


@given(prompts(), phases, selections, st.data())
def test_incremental_selection_is_resolve(spans, made, selection, data):
    """When every token comes in the phase that was expected, decision by decision equals the definition."""
    n = spans[-1].stop
    total = n + len(made)
    ids = [data.draw(st.integers(0, 5)) if p < n else data.draw(st.integers(2, 5)) for p in range(total)]
    scene = scene_of(spans, ids)
    assume(decidable(selection, scene))
    finished = generated(n, made)
    selector = Selector(selection, scene, own(finished, n))
    chosen = set(selector.prompt)
    for p in range(n, total):
        following = own(finished, p + 1) if p + 1 < total else None
        if selector.feed(ids[p], own(finished, p), following):
            chosen.add(p)
    whole = resolve(selection, [*spans, *finished], ids, "alice", TURN, specials=SPECIALS)
    assert chosen == set(members(whole))


@given(prompts(), phases, st.lists(wheres, min_size=1, max_size=2), st.data())
def test_what_differs_is_a_lead_that_led_nowhere(spans, made, clauses, data):
    """Whatever tokens come, every position of the definition is selected, and any other is a lead."""
    n = spans[-1].stop
    total = n + len(made)
    ids = [data.draw(st.integers(0, 5)) for _ in range(total)]
    scene = scene_of(spans, ids)
    selection = Positions(any=tuple(clauses))
    assume(decidable(selection, scene))
    finished = generated(n, made)
    expected = data.draw(st.lists(st.sampled_from(PHASES[1:]), min_size=len(made), max_size=len(made)))

    def guess(p):
        return (
            own(finished, p)
            if expected[p - n] == own(finished, p).phase
            else span_at(p, p + 1, expected[p - n])
        )

    selector = Selector(selection, scene, guess(n))
    chosen = set(selector.prompt)
    for p in range(n, total):
        if selector.feed(ids[p], own(finished, p), guess(p + 1) if p + 1 < total else None):
            chosen.add(p)
    plain = Positions(any=tuple(_without_lead(where) for where in clauses))
    sure = set(members(resolve(plain, [*spans, *finished], ids, "alice", TURN, specials=SPECIALS)))
    assert sure <= chosen  # no lead: nothing but its expectation is ever guessed
    assert chosen == sure or any(where.lead for where in clauses)


def test_counting_goes_on_where_the_prompt_left_off():
    """`tokens` within a sequence or turn counts given tokens too; within a span it starts anew."""
    spans = [
        Span(start=0, stop=1, role=None, phase="markup"),
        Span(start=1, stop=3, role="assistant", phase="answer", author="alice", turn=TURN),
    ]
    scene = scene_of(spans, [0, 3, 3])
    for within, expected in (("sequence", {1, 2, 3}), ("turn", {1, 2, 3}), ("span", {1, 2, 3, 4, 5})):
        where = Where(phases=("answer",), tokens=(Range(0, 3),), within=within)
        selector = Selector(Positions(any=(where,)), scene, span_at(3, 4, "answer"))
        made = {p for p in range(3, 8) if selector.feed(3, span_at(3, p + 1, "answer"), None)}
        assert set(selector.prompt) | made == expected


def _without_lead(where):
    import msgspec

    return msgspec.structs.replace(where, lead=False)
