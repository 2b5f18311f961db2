"""The calculator: exact, like Python on fractions, and bounded whatever it is asked."""

from __future__ import annotations

import asyncio
import re
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from symposia.core.errors import InvalidInput
from symposia.talk.calculator import calculator
from symposia.talk.expression import FUNCTIONS, MAX_BITS, evaluate, shown

NUMBERS = st.integers(0, 10**6).map(str) | st.decimals("0", "1000", places=3).map(lambda d: f"{d:f}")
SIGNS = st.sampled_from(["+", "-", "*", "/", "//", "%"])


def joined(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Expressions of the grammar, spaced anyhow."""
    gap = st.sampled_from(["", " ", "  "])
    two = st.tuples(inner, gap, SIGNS, gap, inner).map("".join)
    power = st.tuples(inner, gap, st.integers(-3, 3)).map(lambda t: f"({t[0]}){t[1]}**{t[2]}")
    return st.one_of(
        two, power, inner.map("({})".format), inner.map("-{}".format), inner.map("+{}".format),
        inner.map("abs({})".format),
    )  # fmt: skip


EXPRESSIONS = st.recursive(NUMBERS, joined, max_leaves=8).filter(lambda text: len(text) <= 200)


def second_opinion(text: str) -> Fraction:
    """The same text with every number a fraction, evaluated by Python itself."""
    exact = re.sub(r"\d+(?:\.\d+)?", lambda m: f"Fraction('{m[0]}')", text)
    return Fraction(eval(exact, {"Fraction": Fraction, "abs": abs}))


@given(EXPRESSIONS)
@example("-2**2")
@example("2**-3**2")
@example("-7 // 2 * 3 % 4")
@example("7 - -2 - +3")
def test_it_computes_what_python_computes_with_fractions(text: str) -> None:
    """Precedence, association, floor division and remainder are Python's; nothing is rounded."""
    try:
        expected = second_opinion(text)
    except ZeroDivisionError:
        with pytest.raises(InvalidInput, match="division by zero"):
            evaluate(text)
        return
    assert evaluate(text) == expected


@given(st.fractions(max_denominator=10**6))
def test_what_it_shows_is_the_value(value: Fraction) -> None:
    """A whole number, a finite decimal, or a fraction: read back, it is the same value."""
    exact = shown(value).partition(" (")[0]
    assert Fraction(exact) == value
    assert evaluate(exact) == value


@given(st.text("0123456789.eE+-*/%(), sqrtgcdpowfactorial\u00d7\u0663\n", max_size=60) | st.text(max_size=20))
def test_any_text_is_answered_or_refused(text: str) -> None:
    """No text does anything else than give a bounded value or say what is wrong."""
    try:
        value = evaluate(text)
    except InvalidInput:
        return
    assert max(value.numerator.bit_length(), value.denominator.bit_length()) <= MAX_BITS


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("1+" * 250 + "1", "501 characters"),
        ("(" * 60 + "1" + ")" * 60, "50 levels"),
        ("2**1001", "exponent of at most 1000"),
        ("9**1000**1000", "exponent of at most 1000|too large"),
        ("(2**1000)**1000", "3,000 digits"),
        ("2**1000*" * 40 + "1", "3,000 digits"),
        ("1e1001", "exponent of at most 1000"),
        ("factorial(401)", "0 to 400"),
        ("comb(1001, 2)", "0 to 1000"),
        ("4**0.5", "whole exponent"),
        ("sqrt(2)", "about 1.414213562373"),
        ("sqrt(0-1)", "from 0 up"),
        ("0**-1", "division by zero"),
        ("1,000", "expected an operator at character 2; got ','"),
        ("2^3", r"a power is written \*\*"),
        ("__import__('os')", "unknown name '__import__'; the functions are abs"),
        ("abs", r"expected \( after abs"),
        ("gcd(1.5, 2)", "whole number; got 1.5"),
        ("max()", "1 or more arguments"),
        ("(1", "expected \\)"),
        ("", "expected a number"),
    ],
)
def test_what_is_too_much_or_wrong_is_refused(text: str, told: str) -> None:
    """Each limit holds before the work is done, and the error says what was expected and where."""
    with pytest.raises(InvalidInput, match=told):
        evaluate(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("99**1000 // 98**1000", str(99**1000 // 98**1000)),
        ("1/3", "1/3 (about 0.333333333333)"),
        ("-1/8", "-0.125"),
        ("0.1 + 0.2", "0.3"),
        ("sqrt(2.25)", "1.5"),
        ("isqrt(10**1000) == 0"[:15], str(10**500)),
        ("round(2.675, 2)", "2.68"),
        ("round(2.5) + floor(-1.5) + ceil(-1.5)", "-1"),
        ("gcd(252, 105, 42) + lcm(4, 6)", "33"),
        ("factorial(5) + comb(5, 2) + perm(5, 2) + pow(2, 10)", "1174"),
        ("min(3, 1/2) + max(3, 1/2) + sum(1, 2, 3)", "9.5"),
        ("1e-3 + .5", "0.501"),
    ],
)
def test_functions_are_exact(text: str, value: str) -> None:
    """The function list, on exact numbers."""
    assert shown(evaluate(text)) == value


def test_the_tool_says_what_it_can() -> None:
    """A model is told of every function; an error is what it reads, not an exception it cannot see."""
    assert all(name in calculator.spec.description for name in FUNCTIONS)

    async def compute(expression: str):
        async with calculator.open() as run:
            return await run({"expression": expression})

    assert asyncio.run(compute("6*7")).text == "42"
    assert asyncio.run(compute("1" * 501)).error
