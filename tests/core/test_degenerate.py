"""Empty replies and loops: what counts, what does not, and what cannot matter."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symposia.core.degenerate import LEAST, LIVE, OFFLINE, PERIOD, WINDOW, degenerate, empty, period

units = st.lists(st.integers(0, 3), max_size=300)


@given(st.integers(1, PERIOD), st.integers(0, 200), st.randoms())
def test_every_repeated_pattern_is_a_loop(p, extra, chance):
    """A pattern of at most `PERIOD` units, repeated, is found at its own period or a shorter one, live too."""
    pattern = [chance.randrange(1000) for _ in range(p)]
    said = (pattern * (300 // p))[: max(4 * p, LEAST + p) + extra]
    found = period(said, LIVE)
    assert found is not None
    assert found <= p


@given(st.integers(0, 500))
def test_what_never_repeats_is_none(n):
    """Distinct units, however many."""
    assert period(range(n)) is None


@given(units, st.permutations(range(4)))
def test_names_of_units_do_not_matter(said, names):
    """Renaming units one to one changes nothing."""
    assert period(said) == period([f"u{names[u]}" for u in said])


@given(units, st.lists(st.integers(0, 3), max_size=300))
def test_only_the_end_matters(said, before):
    """Whatever was said before the last window and one period more."""
    end = (said * (1 + (WINDOW + PERIOD) // max(len(said), 1)))[-(WINDOW + PERIOD) :]
    if len(end) == WINDOW + PERIOD:
        assert period(before + end) == period(end)


@given(units)
def test_live_traffic_is_judged_no_harder(said):
    """A loop at three quarters is one at half."""
    if period(said, LIVE) is not None:
        assert period(said, OFFLINE) is not None


@given(units)
def test_a_loop_is_what_its_definition_counts(said):
    """By counting over all pairs, for every period."""
    window = min(len(said), WINDOW)
    tail = range(len(said) - window, len(said))
    looping = [
        p
        for p in range(1, PERIOD + 1)
        if sum(i >= p and said[i] == said[i - p] for i in tail) >= max(LEAST, OFFLINE * window)
    ]
    assert period(said) == (looping[0] if looping else None)


@pytest.mark.parametrize(
    ("text", "none"),
    [("", True), (" \n…!?", True), ("🙂🙂", True), ("ok", False), ("7", False), ("好", False)],
)
def test_empty_is_without_letter_or_digit(text, none):
    """In any script."""
    assert empty(text) is none


@given(st.text())
def test_one_letter_anywhere_is_enough(text):
    """Wherever it stands."""
    assert empty(text) is not any(character.isalnum() for character in text)


def test_causes_by_name():
    """Nothing said, unless a tool was called; a loop; neither."""
    assert degenerate("…", ()) == "empty"
    assert degenerate("", (), called=True) is None
    assert degenerate("no " * 40, ["no"] * 40) == "loop"
    assert degenerate("no " * 19, ["no"] * 19) is None
    assert degenerate("It rains.", (1, 2, 3)) is None


@given(
    units=st.lists(st.integers(min_value=0, max_value=6), max_size=60).flatmap(
        lambda beginning: st.builds(
            lambda repeated, times, end: beginning + repeated * times + end,
            st.lists(st.integers(min_value=0, max_value=40), min_size=1, max_size=34),
            st.integers(min_value=0, max_value=12),
            st.lists(st.integers(min_value=0, max_value=40), max_size=20),
        )
    ),
    share=st.sampled_from([0.5, 0.75]),
)
def test_the_quick_look_misses_no_loop(units: list[int], share: float) -> None:
    """Counting what differs first changes no answer: every period is tried one by one here."""
    window = min(len(units), WINDOW)
    found = [
        p
        for p in range(1, min(PERIOD, len(units) - 1) + 1)
        if sum(units[i] == units[i - p] for i in range(max(len(units) - window, p), len(units)))
        >= max(LEAST, share * window)
    ]
    assert period(units, share) == (found[0] if found else None)
