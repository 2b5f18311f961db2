"""Selections as text mean the values they name; what means none is pointed at."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symposia.core import positions
from symposia.core.errors import InvalidInput
from symposia.core.positions import Positions, Range, Where
from symposia.core.selector import NAMED, selection


def one(**fields):
    return Positions(any=(Where(**fields),))


CASES = {
    "author=bob": one(authors=("bob",)),
    "author=bob,phase=answer,back=1:3,last=4": one(
        authors=("bob",), phases=("answer",), back=(Range(1, 3),), tokens=(Range(-4, None),), made="given"
    ),
    "first=4": positions.first(4),
    "last=4": positions.last(4),
    "made=any,first=4": one(tokens=(Range(0, 4),)),
    "phase=answer,phase=reasoning": one(phases=("answer", "reasoning")),
    "everything - answer - tools": positions.everything() - positions.answer() - positions.tools(),
    " author=others , author=mary-ann ": one(authors=("others", "mary-ann")),
    "turn=3": one(turns=(Range(3, 4),)),
    "turn=-1": one(turns=(Range(-1, None),)),
    "turn=2:,turn=:1": one(turns=(Range(2, None), Range(0, 1))),
    "first=2,made=given,within=turn": one(tokens=(Range(0, 2),), made="given", within="turn"),
    "tokens=-3:-1,special,lead": one(tokens=(Range(-3, -1),), special=True, lead=True),
    'text="a, b | c - d",role=user': one(text=("a, b | c - d",), roles=("user",)),
    "answer | author=eve": positions.answer() | positions.said_by("eve"),
    "answer|prompt - author=eve - first=1": (positions.answer() | positions.prompt())
    - positions.said_by("eve")
    - positions.first(1),
}


@pytest.mark.parametrize("text", CASES)
def test_a_text_means_a_value(text):
    """Fields, ranges, flags, quotes, operators."""
    assert selection(text) == CASES[text]


@pytest.mark.parametrize("name", NAMED)
def test_constructors_go_by_their_names(name):
    """Every one without arguments."""
    assert selection(name) == NAMED[name]() == vars(positions)[name]()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "unknown part"),
        ("anwser", "did you mean 'answer'"),
        ("answer-x", "'answer-x'"),
        ("author=", "'author='"),
        ("autor=bob", "did you mean 'author='"),
        ("lead=1", "'lead=1'"),
        ("phase=loud", "'loud'"),
        ("made=new", "'new'"),
        ("last=0", "a number from 1 up; got '0'"),
        ("turn=x", "expected N, N:M, N: or :M; got 'x'"),
        ("turn=:", "got ':'"),
        ("turn=3:1", "holds nothing"),
        ("answer - prompt | tools", r"\(a \| b\) - c"),
        ("answer | ", "unknown part"),
    ],
)
def test_what_means_nothing_is_pointed_at(text, said):
    """With what was expected."""
    with pytest.raises(InvalidInput, match=said):
        selection(text)


@given(st.text(max_size=30))
def test_any_text_is_read_or_refused(text):
    """Nothing else comes of it."""
    with contextlib.suppress(InvalidInput):
        assert isinstance(selection(text), Positions)
