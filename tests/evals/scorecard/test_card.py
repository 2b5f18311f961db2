"""The scorecard as a function of trials: laws that hold whatever the trials are."""

import json
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from symposia.core.usage import Usage
from symposia.evals.scorecard.card import Asked, scorecard
from symposia.evals.scorecard.compare import comparisons
from symposia.evals.scorecard.courses import courses
from symposia.evals.scorecard.methodrow import item_means, method_row
from symposia.evals.scorecard.score import Times
from symposia.evals.scorecard.tables import grids
from symposia.evals.scorecard.trial import Course, SeatAnswer, Trial, Tried
from symposia.evals.scorecard.written import as_csv, as_html, as_json
from tests.evals.answering import MODEL

GRADES = st.sampled_from(["right", "right", "wrong", "wrong", "unreadable", "failed"])


def trial(method, item, grade, repeat=0, **more):
    tried = Tried(answer="4", cause="timeout" if grade == "failed" else "", failed=grade == "failed", **more)
    return Trial(task="t", item=f"i{item:03d}", repeat=repeat, method=method, grade=grade, tried=tried)


def card_of(trials, methods, reference=None):
    names = tuple(sorted({t.item for t in trials}))
    asked = Asked(methods=methods, profile=MODEL, prompts=("a", "b"), items=(("t", names),))
    return scorecard(asked, reference or methods[-1], trials)


@st.composite
def results(draw, repeats=1):
    n = draw(st.integers(1, 25))
    return [
        trial(method, item, draw(GRADES), repeat)
        for item in range(n)
        for repeat in range(repeats)
        for method in ("a", "b")
    ]


@settings(max_examples=15, deadline=None)
@given(results())
def test_a_method_against_itself_shows_nothing(trials):
    """The same results under two names: nothing fixed, nothing broken, p = 1, an interval of 0, nothing shown."""
    same = [t for t in trials if t.method == "a"]
    twice = [*same, *(replace(t, method="b") for t in same)]
    (one,) = card_of(twice, ("b", "a")).comparisons
    for found in (one.graded, one.strict):
        if found is not None:
            assert (found.fixed, found.broken, found.p, found.p_holm) == (0, 0, 1.0, 1.0)
            assert (found.interval.low, found.interval.high, found.wording) == (0.0, 0.0, "not shown")


@settings(max_examples=15, deadline=None)
@given(results())
def test_swapping_sides_swaps_fixed_and_broken(trials):
    """The comparison the other way round: fixed and broken change places, p stays, the difference changes sign."""
    by_method = {m: [t for t in trials if t.method == m] for m in ("a", "b")}
    (one,), (other,) = (comparisons(by_method, m, "s") for m in ("a", "b"))
    for here, there in ((one.graded, other.graded), (one.strict, other.strict)):
        if here is not None:
            assert (here.fixed, here.broken, here.n) == (there.broken, there.fixed, there.n)
            assert here.p == there.p
            assert here.difference == pytest.approx(-there.difference)


@settings(max_examples=15, deadline=None)
@given(results())
def test_failures_are_no_results_and_in_the_second_line_wrong(trials):
    """Graded pairs are those where both have an answer; strict ones are all, with failures as wrong."""
    a, b = ({t.item: t for t in trials if t.method == m} for m in ("a", "b"))
    both = [i for i in a if a[i].graded and b[i].graded]
    (one,) = card_of(trials, ("b", "a")).comparisons
    assert one.strict.n == len(a)
    assert one.strict.fixed == sum(a[i].right and not b[i].right for i in a)
    assert (one.graded.n if one.graded else 0) == len(both)
    if one.graded:
        assert one.graded.broken == sum(b[i].right and not a[i].right for i in both)
    row = method_row("a", list(a.values()), "s")
    assert row.graded.n == sum(t.graded for t in a.values())
    assert row.strict.n == len(a)
    assert row.graded.right == row.strict.right == sum(t.right for t in a.values())


@settings(max_examples=15, deadline=None)
@given(results(), st.randoms())
def test_the_order_of_trials_changes_nothing(trials, random):
    """The same trials in any order: the same bytes."""
    shuffled = trials[:]
    random.shuffle(shuffled)
    assert as_json(card_of(trials, ("a", "b"))) == as_json(card_of(shuffled, ("a", "b")))


@settings(max_examples=15, deadline=None)
@given(results(repeats=3))
def test_repeats_are_means_of_items(trials):
    """With repeats an item counts once, by its mean; the test is the sign-flip test, the interval over items."""
    (one,) = card_of(trials, ("b", "a")).comparisons
    found = one.strict
    means = {m: item_means([t for t in trials if t.method == m]) for m in ("a", "b")}
    differences = [means["a"][key] - means["b"][key] for key in means["a"]]
    assert found.n == len(differences)
    assert found.test == "sign_flip"
    assert found.difference == pytest.approx(float(sum(differences) / len(differences)))
    assert found.fixed == sum(d > Fraction(0) for d in differences)


def test_wording_follows_the_interval_and_holm_the_number_of_baselines():
    """Ten items fixed and none broken is better; with three baselines its p is adjusted for three."""
    here = [trial("d", i, "right") for i in range(30)]
    worse = [trial("x", i, "wrong" if i < 10 else "right") for i in range(30)]
    same = [trial(m, i, "right") for i in range(30) for m in ("y", "z")]
    found = {c.baseline: c.graded for c in card_of([*here, *worse, *same], ("x", "y", "z", "d")).comparisons}
    assert (found["x"].wording, found["y"].wording) == ("better", "not shown")
    assert found["x"].p == pytest.approx(2 / 2**10)
    assert found["x"].p_holm == pytest.approx(3 * 2 / 2**10)
    back = card_of([*here, *worse], ("d", "x")).comparisons[0].graded
    assert (back.wording, back.fixed, back.broken) == ("worse", 0, 10)


def answers(*rounds):
    """A debate's course from one text a round, a character a seat: r right, others wrong; equal characters agree."""
    said = tuple(
        SeatAnswer(round=n, seat=f"s{at}", key=c, grade="right" if c == "r" else "wrong")
        for n, text in enumerate(rounds, start=1)
        for at, c in enumerate(text)
        if c != "-"
    )
    return Course(reason="consensus", rounds=len(rounds), answers=said)


def test_how_debates_went():
    """Flips by round among seats that answered twice; unanimous and wrong; what perfect choosing would get."""
    went = [answers("rww", "rrw", "rrr"), answers("rrw", "wrw", "www"), answers("r-w", "rww"), answers("www")]
    found = courses("d", [trial("d", i, "right", course=one) for i, one in enumerate(went)])
    assert (found.n, found.rounds) == (4, 9)
    assert [(f.round, f.seats, f.right_to_wrong, f.wrong_to_right) for f in found.flips] == [
        (2, 8, 1, 1),
        (3, 6, 1, 1),
    ]
    assert found.unanimous_wrong == 2
    assert (found.oracle, found.oracle_ever) == (2, 3)
    assert found.reasons == (("consensus", 4),)
    away = courses("d", [trial("d", 0, "right", course=answers("rr", "-r", "wr"))])
    assert [(f.seats, f.right_to_wrong) for f in away.flips] == [(1, 0), (1, 0)]
    assert courses("a", [trial("a", 0, "right")]) is None


def test_what_is_written_says_the_same():
    """The CSV has a row a trial, the page every number of the tables and nothing from outside, the JSON all of it."""
    used = Usage(input_tokens=30, cached_tokens=10, output_tokens=5, cost_usd=0.25)
    trials = [trial("a", i, "right", usage=used) for i in range(4)]
    trials += [
        trial("b<", i, g, unpriced=1) for i, g in enumerate(("right", "wrong", "unreadable", "failed"))
    ]
    card = card_of(trials, ("a", "b<"))
    times = Times(seconds=(("a", 2.0), ("b<", 0.5)))
    rows = as_csv(card).decode().splitlines()
    assert len(rows) == 9
    head = rows[0].split(",")
    first = dict(zip(head, rows[1].split(","), strict=True))
    assert (first["fresh_tokens"], first["cost_usd"], first["grade"]) == ("25", "0.250000000", "right")
    last = dict(zip(head, rows[-1].split(","), strict=True))
    assert (last["grade"], last["cause"], last["cost_usd"], last["unpriced_calls"]) == (
        "failed",
        "timeout",
        "",
        "1",
    )
    page = as_html(card, times, b"\x89PNG").decode()
    for grid in grids(card, times):
        assert all(cell.replace("<", "&lt;") in page for row in grid.rows for cell in row)
    assert "b<" not in page
    assert not any(outside in page for outside in ("http:", "https:", "<script", 'src="/', "<link"))
    assert "data:image/png;base64," in page
    decoded = json.loads(as_json(card))
    assert decoded["format"] == "symposia.scorecard"
    assert [len(decoded[k]) for k in ("rows", "trials", "comparisons")] == [2, 8, 1]
