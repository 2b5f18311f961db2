from collections import Counter
from importlib.resources import files

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from symposia.core.errors import InvalidInput, UnknownName
from symposia.evals.tasks.sets import SETS, SHIPPED, SHIPPED_SEED, lines, make, shipped

from .readers import solutions, solve

NAMES = sorted(SETS)


@pytest.mark.parametrize("name", NAMES)
def test_the_shipped_seed_gives_the_shipped_bytes(name):
    """What ships is what `symposia tasks make` writes."""
    raw = files("symposia.evals.tasks").joinpath("shipped", f"{name}.jsonl").read_bytes()
    assert lines(make(name, SHIPPED, SHIPPED_SEED)) == raw
    assert shipped(name) == make(name, SHIPPED, SHIPPED_SEED)


@pytest.mark.parametrize("name", NAMES)
def test_every_shipped_answer_is_right(name):
    """A second solver that reads the question text finds the same answer."""
    for item in shipped(name):
        assert solve(item.question, item.options) == item.answer, item.question


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_every_answer_that_can_be_made_is_right(name, seed):
    """The same for other seeds."""
    for item in make(name, 6, seed):
        assert solve(item.question, item.options) == item.answer, item.question


@pytest.mark.parametrize("name", NAMES)
def test_twenty_of_each_level_and_none_twice(name):
    """Sixty different questions, a third of each level, ids that sort; choices put the answer everywhere."""
    items = shipped(name)
    assert Counter(item.level for item in items) == {1: 20, 2: 20, 3: 20}
    assert len({item.question for item in items}) == len({item.id for item in items}) == 60
    assert [item.id for item in items] == sorted(item.id for item in items)
    choices = [item for item in items if item.options]
    assert not choices or len({item.answer for item in choices}) >= 4


@pytest.mark.parametrize("name", NAMES)
def test_more_items_begin_with_the_same(name):
    """Asking for more adds items and changes none; another seed asks other questions."""
    assert make(name, 9, 4) == make(name, 30, 4)[:9]
    assert {i.question for i in make(name, 9, 4)} != {i.question for i in make(name, 9, 5)}


def test_no_clue_is_idle():
    """An ordering has one solution, and more than one without any of its clues."""
    for item in shipped("ordering"):
        assert len(solutions(item.question)) == 1
        opening, *clues = item.question.split(". ")
        asked = clues.pop()
        for left_out in range(len(clues)):
            fewer = ". ".join((opening, *(c for i, c in enumerate(clues) if i != left_out), asked))
            assert len(solutions(fewer)) > 1, item.question


def test_ordering_offers_four():
    """Every ordering has four options, all of them in the puzzle."""
    for item in shipped("ordering"):
        assert len(item.options) == 4
        assert all(option in item.question for option in item.options)


def test_unknown_sets_are_named():
    """A misspelt set: the nearest known one is named; no items: refused."""
    with pytest.raises(UnknownName, match="did you mean 'arithmetic'"):
        make("aritmetic", 1, 0)
    with pytest.raises(InvalidInput, match="at least one"):
        make("counting", 0, 0)
