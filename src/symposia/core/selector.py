"""Selections as text: `speaking`, or `author=bob,phase=answer,back=1:3,last=4`, joined by `|`, less by ` - `.

A term is the name of a constructor of `core.positions`, or fields of one clause, all of which must hold. A field given
twice holds for either value; `first` and `last` count in given spans, unless `made` says otherwise. Values with a comma
or an operator in them stand in double quotes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from . import positions
from .errors import InvalidInput, UnknownName
from .positions import Positions, Where

NAMED: Mapping[str, Callable[[], Positions]] = {
    "speaking": positions.speaking,
    "spoken": positions.spoken,
    "everything": positions.everything,
    "prompt": positions.prompt,
    "answer": positions.answer,
    "reasoning": positions.reasoning,
    "tools": positions.tools,
    "answer_end": positions.answer_end,
    "answer_start": positions.answer_start,
}
_LISTS = {
    "author": "authors",
    "phase": "phases",
    "role": "roles",
    "turn": "turns",
    "back": "back",
    "tokens": "tokens",
    "first": "tokens",
    "last": "tokens",
    "text": "text",
}
_SINGLE = ("made", "within")
_FLAGS = ("lead", "special")
_RANGES = ("turn", "back", "tokens")
_OPERATOR = re.compile(r'"[^"]*"|(\s*\|\s*|\s+-\s+)')
_COMMA = re.compile(r'"[^"]*"|(,)')
_RANGE = re.compile(r"(-?\d+)?(?:(:)(-?\d+)?)?")


def selection(text: str) -> Positions:
    """The positions a text means. `InvalidInput` points at the part that means none."""
    terms, operators = _split(text.strip(), _OPERATOR)
    made = _term(terms[0], text)
    for operator, term in zip(operators, terms[1:], strict=True):
        other = _term(term, text)
        made = made | other if operator.strip() == "|" else made - other
    return made


def _split(text: str, at: re.Pattern[str]) -> tuple[list[str], list[str]]:
    """The parts between matches outside quotes, and the matches."""
    parts, found, start = [], [], 0
    for match in at.finditer(text):
        if match.group(1) is not None:
            parts.append(text[start : match.start()])
            found.append(match.group(1))
            start = match.end()
    return [*parts, text[start:]], found


def _term(term: str, whole: str) -> Positions:
    if term in NAMED:
        return NAMED[term]()
    fields: dict[str, Any] = {}
    for part in _split(term, _COMMA)[0]:
        _field(part.strip(), fields, whole)
    try:
        where = msgspec.convert(fields, Where)
    except msgspec.ValidationError as error:
        raise InvalidInput(f"selection {whole!r}: {error}") from error
    return Positions(any=(where,))


def _field(part: str, fields: dict[str, Any], whole: str) -> None:
    name, equals, value = part.partition("=")
    value = value[1:-1] if len(value) > 1 and value[0] == value[-1] == '"' else value
    if name in _FLAGS and not equals:
        fields[name] = True
    elif name in _SINGLE and value:
        fields[name] = value
    elif name in _LISTS and value:
        fields.setdefault(_LISTS[name], []).append(_value(name, value, whole))
        if name in ("first", "last"):
            fields.setdefault("made", "given")  # the end of others is not known while they are made
    else:
        known = (*NAMED, *(f"{each}=" for each in (*_LISTS, *_SINGLE)), *_FLAGS)
        raise UnknownName(f"part of selection {whole!r}", part, known)


def _value(name: str, value: str, whole: str) -> object:
    if name in _RANGES:
        return _range(value, whole)
    if name not in ("first", "last"):
        return value
    if not value.isdecimal() or not int(value):
        raise InvalidInput(f"selection {whole!r}: expected {name}=N, a number from 1 up; got {value!r}")
    n = int(value)
    return {"start": 0, "stop": n} if name == "first" else {"start": -n, "stop": None}


def _range(value: str, whole: str) -> dict[str, int | None]:
    match = _RANGE.fullmatch(value)
    if match is None or value == ":":
        raise InvalidInput(f"selection {whole!r}: expected N, N:M, N: or :M; got {value!r}")
    start, colon, stop = match.groups()
    if not colon:
        return {"start": int(start), "stop": int(start) + 1 or None}
    return {"start": int(start or 0), "stop": None if stop is None else int(stop)}
