"""Arithmetic expressions, exactly: a parser of its own over integers and fractions, bounded by construction.

Python's grammar and meaning for `+ - * / // % **`, signs and parentheses, and a fixed list of functions. Nothing is
looked up and nothing is executed. At most 500 characters, 50 levels deep, exponents up to 1,000, and no number of more
than 4,000 bits: at that size no operation takes long, and there is no room for many.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from fractions import Fraction
from typing import Final, NamedTuple

from symposia.core.errors import InvalidInput

MAX_LENGTH: Final = 500
MAX_DEPTH: Final = 50
MAX_EXPONENT: Final = 1000
MAX_BITS: Final = 10_000
MAX_PLACES: Final = 20

_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)|(?P<name>[^\W\d]\w*)|(?P<sign>\*\*|//|[-+*/%(),]))"
)
_PARTS = re.compile(r"(\d*)\.?(\d*)(?:[eE]([+-]?\d+))?")


def evaluate(expression: str) -> Fraction:
    """The exact value. `InvalidInput` says what is wrong and where it stands."""
    if len(expression) > MAX_LENGTH:
        raise InvalidInput(
            f"an expression of {len(expression)} characters; expected at most {MAX_LENGTH}: compute it in parts"
        )
    return _Reader(expression).whole()


def shown(value: Fraction) -> str:
    """The value for people: a whole number or a finite decimal as it is, any other fraction with its decimal beside."""
    if value.denominator == 1:
        return str(value.numerator)
    if 10**MAX_PLACES % value.denominator == 0:
        return _decimal(value, MAX_PLACES)
    return f"{value.numerator}/{value.denominator} (about {_decimal(value, 12)})"


class _Token(NamedTuple):
    kind: str
    text: str
    at: int


class _Reader:
    """A recursive descent, one method a level of precedence."""

    def __init__(self, text: str) -> None:
        self._text, self._next, self._depth = text, 0, 0
        self._tokens = _tokens(text)

    def whole(self) -> Fraction:
        value = self._sum()
        if self._here.kind != "end":
            raise self._unexpected("an operator")
        return value

    @property
    def _here(self) -> _Token:
        return self._tokens[self._next]

    def _take(self, *signs: str) -> str:
        """The next token's text if it is one of the signs; empty if not, and then it stays."""
        here = self._here
        if here.kind != "sign" or here.text not in signs:
            return ""
        self._next += 1
        return here.text

    def _sum(self) -> Fraction:
        value = self._product()
        while sign := self._take("+", "-"):
            right = self._product()
            value = _bounded(value + right if sign == "+" else value - right)
        return value

    def _product(self) -> Fraction:
        value = self._signed()
        while sign := self._take("*", "/", "//", "%"):
            value = _bounded(_combined(value, sign, self._signed()))
        return value

    def _signed(self) -> Fraction:
        negative = False
        while sign := self._take("+", "-"):
            negative ^= sign == "-"
        value = self._power()
        return -value if negative else value

    def _power(self) -> Fraction:
        base = self._atom()
        if not self._take("**"):
            return base
        with_depth = self._deeper(self._signed)
        return power(base, with_depth)

    def _atom(self) -> Fraction:
        here = self._here
        if here.kind == "number":
            self._next += 1
            return _number(here.text)
        if here.kind == "name":
            self._next += 1
            return self._call(here)
        if not self._take("("):
            raise self._unexpected("a number, a function or (")
        value = self._deeper(self._sum)
        if not self._take(")"):
            raise self._unexpected(")")
        return value

    def _call(self, name: _Token) -> Fraction:
        function = FUNCTIONS.get(name.text)
        if function is None:
            raise InvalidInput(f"unknown name {name.text!r}; the functions are {', '.join(FUNCTIONS)}")
        if not self._take("("):
            raise self._unexpected(f"( after {name.text}")
        values: list[Fraction] = []
        if not self._take(")"):
            values.append(self._deeper(self._sum))
            while self._take(","):
                values.append(self._deeper(self._sum))
            if not self._take(")"):
                raise self._unexpected(", or )")
        return _bounded(function(name.text, values))

    def _deeper(self, read: Callable[[], Fraction]) -> Fraction:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise InvalidInput(f"nested more than {MAX_DEPTH} levels deep; compute it in parts")
        value = read()
        self._depth -= 1
        return value

    def _unexpected(self, wanted: str) -> InvalidInput:
        here = self._here
        got = "the end" if here.kind == "end" else repr(here.text)
        hint = "; a power is written **" if here.text == "^" else ""
        return InvalidInput(f"expected {wanted} at character {here.at + 1}; got {got}{hint}")


def _tokens(text: str) -> list[_Token]:
    found: list[_Token] = []
    at = 0
    end = len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None:
            start = at + len(text[at:]) - len(text[at:].lstrip())
            found.append(_Token("odd", text[start], start))
            break
        kind = match.lastgroup or ""
        found.append(_Token(kind, match[kind], match.start(kind)))
        at = match.end()
    return [*found, _Token("end", "", end)]


def _number(text: str) -> Fraction:
    parts = _PARTS.fullmatch(text)
    assert parts is not None
    whole, decimals, exponent = parts[1], parts[2], int(parts[3] or 0)
    if abs(exponent) > MAX_EXPONENT:
        raise InvalidInput(f"{text}: expected an exponent of at most {MAX_EXPONENT}")
    shift = exponent - len(decimals)
    digits = int(whole + decimals)
    return _bounded(Fraction(digits * 10**shift) if shift >= 0 else Fraction(digits, 10**-shift))


def _combined(left: Fraction, sign: str, right: Fraction) -> Fraction:
    if sign == "*":
        return left * right
    if right == 0:
        raise InvalidInput(f"division by zero ({sign})")
    if sign == "/":
        return left / right
    return Fraction(left // right) if sign == "//" else left % right


def power(base: Fraction, exponent: Fraction) -> Fraction:
    """An exact power, its size known before it is computed."""
    if exponent.denominator != 1:
        raise InvalidInput(
            f"** {shown(exponent)}: expected a whole exponent, since roots are rarely exact; use sqrt"
        )
    n = exponent.numerator
    if abs(n) > MAX_EXPONENT:
        raise InvalidInput(f"** {n}: expected an exponent of at most {MAX_EXPONENT}")
    if n < 0 and base == 0:
        raise InvalidInput("division by zero (0 to a negative power)")
    if _bits(base) * abs(n) > MAX_BITS + abs(n):  # 1 has a bit, and stays 1
        raise _too_large()
    return _bounded(base**n)


def _bits(value: Fraction) -> int:
    return max(abs(value.numerator).bit_length(), value.denominator.bit_length())


def _bounded(value: Fraction) -> Fraction:
    if _bits(value) > MAX_BITS:
        raise _too_large()
    return value


def _too_large() -> InvalidInput:
    return InvalidInput(f"a number of more than {MAX_BITS * 3 // 10:,} digits; that is too large")


def _decimal(value: Fraction, places: int) -> str:
    digits = str(abs(round(value * 10**places))).rjust(places + 1, "0")
    text = f"{digits[:-places]}.{digits[-places:]}".rstrip("0").rstrip(".")
    return f"-{text}" if value < 0 else text


Function = Callable[[str, list[Fraction]], Fraction]


def _counted(values: list[Fraction], name: str, least: int, most: int | None) -> list[Fraction]:
    if len(values) < least or (most is not None and len(values) > most):
        wanted = f"{least}" if most == least else f"{least} or more" if most is None else f"{least} or {most}"
        raise InvalidInput(f"{name}: expected {wanted} arguments; got {len(values)}")
    return values


def _whole(name: str, values: list[Fraction], most: int | None = None) -> list[int]:
    for value in values:
        if value.denominator != 1 or (most is not None and not 0 <= value <= most):
            wanted = "a whole number" if most is None else f"a whole number from 0 to {most}"
            raise InvalidInput(f"{name}: expected {wanted}; got {shown(value)}")
    return [value.numerator for value in values]


def _one(compute: Callable[[Fraction], Fraction | int]) -> Function:
    return lambda name, values: Fraction(compute(*_counted(values, name, 1, 1)))


def _any(compute: Callable[[list[Fraction]], Fraction | int]) -> Function:
    return lambda name, values: Fraction(compute(_counted(values, name, 1, None)))


def _integers(
    compute: Callable[..., int], least: int, most: int | None, *, up_to: int | None = None
) -> Function:
    return lambda name, values: Fraction(compute(*_whole(name, _counted(values, name, least, most), up_to)))


def _round(name: str, values: list[Fraction]) -> Fraction:
    value, *places = _counted(values, name, 1, 2)
    return Fraction(round(value, *_whole(name, places, 100)))


def _sqrt(name: str, values: list[Fraction]) -> Fraction:
    (value,) = _counted(values, name, 1, 1)
    if value < 0:
        raise InvalidInput(f"{name}: expected a number from 0 up; got {shown(value)}")
    root = Fraction(math.isqrt(value.numerator), math.isqrt(value.denominator))
    if root * root != value:
        near = _decimal(Fraction(math.isqrt(value.numerator * 10**24 // value.denominator), 10**12), 12)
        raise InvalidInput(f"{name}({shown(value)}) is no fraction, only about {near}; isqrt rounds down")
    return root


FUNCTIONS: Final[dict[str, Function]] = {
    "abs": _one(abs),
    "min": _any(min),
    "max": _any(max),
    "sum": _any(lambda values: sum(values, Fraction())),
    "round": _round,
    "floor": _one(math.floor),
    "ceil": _one(math.ceil),
    "sqrt": _sqrt,
    "isqrt": _integers(math.isqrt, 1, 1, up_to=10**3000),
    "gcd": _integers(math.gcd, 1, None),
    "lcm": _integers(math.lcm, 1, None),
    "factorial": _integers(math.factorial, 1, 1, up_to=400),
    "comb": _integers(math.comb, 2, 2, up_to=MAX_EXPONENT),
    "perm": _integers(math.perm, 1, 2, up_to=400),
    "pow": lambda name, values: power(*_counted(values, name, 2, 2)),
}
"""Exact functions of exact numbers; `round` rounds half to even, as Python's does."""
