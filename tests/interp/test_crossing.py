"""The search for a size by itself, on functions whose answer is known."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq

from symposia.interp.crossing import STEPS, NoCrossing, crossing


def solve(function, target=1.0, start=0.1):
    search = crossing(target, start)
    size = next(search)
    try:
        while True:
            size = search.send(function(size))
    except StopIteration as done:
        return done.value


@given(st.floats(0.05, 20), st.floats(0.3, 4), st.floats(0.01, 100))
def test_a_power_of_the_size(scale, power, target):
    """c·x^p is straight in logarithms: the value comes within 2 %, by at most one step after the bracket."""
    wanted = (target / scale) ** (1 / power)
    if not 0.1 / 2**STEPS < wanted < 0.1 * 2**STEPS:
        return
    found = solve(lambda x: scale * x**power, target)
    assert scale * found.size**power == pytest.approx(target, rel=0.0201)
    assert len(found.points) <= 2 + STEPS + 1


@pytest.mark.parametrize(
    "function",
    [math.expm1, lambda x: x**2 / (1 + x), lambda x: math.log1p(x) ** 3, lambda x: x + 5 * x**6],
)
@pytest.mark.parametrize("target", [0.02, 1.0, 7.0])
def test_it_agrees_with_scipy(function, target):
    """Brent's method on the same function gives a size whose value is as near."""
    found = solve(function, target)
    root = brentq(lambda x: function(x) - target, 1e-6, 500)
    assert function(found.size) == pytest.approx(target, rel=0.0201)
    assert found.size == pytest.approx(root, rel=0.05)
    assert len(found.points) <= 1 + 2 * STEPS


@given(st.floats(0.001, 300), st.floats(0.001, 0.97), st.floats(1.03, 1000))
def test_a_jump_past_the_target_is_found_from_below(at, before, after):
    """No size has the value: the answer lies below the jump, by 2 % at most."""
    found = solve(lambda x: before if x < at else after)
    assert found.size < at * (1 + 1e-9)
    assert found.size >= at / 1.0201
    assert len(found.points) <= 1 + 2 * STEPS


@pytest.mark.parametrize(
    ("function", "measured"), [(lambda x: 0.5, 0.5), (lambda x: 0.0, 0), (lambda x: 9.0, 9)]
)
def test_no_bracket_is_an_error_with_the_points(function, measured):
    """All thirteen sizes measured are in the error."""
    with pytest.raises(NoCrossing, match="do not bracket 1; measured") as caught:
        solve(function)
    assert [value for _, value in caught.value.points] == [measured] * (STEPS + 1)


def test_a_value_that_is_not_finite_is_an_error():
    """Never taken for a large one."""
    with pytest.raises(NoCrossing, match="expected finite values; got nan"):
        solve(lambda x: math.nan)
