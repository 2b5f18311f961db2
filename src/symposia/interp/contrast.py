"""Pairs of conversations that differ in one trait: what directions are fitted on."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from symposia.core.errors import InvalidInput
from symposia.core.lines import Line, Segment
from symposia.core.span import Role
from symposia.core.value import Value, content_digest, decode

READER = "assistant"
LEAST = 8
_LETTER = re.compile(r"\s*(\(?[A-Za-z])[).:]?\s*")


class ContrastPair(Value, frozen=True, kw_only=True):
    """Two conversations as lines; the last assistant text of each is read, not generated."""

    id: str
    positive: tuple[Line, ...]
    negative: tuple[Line, ...]
    weight: float = 1.0


class _Message(Value, frozen=True):
    role: Role
    content: str


class _Side(Value, frozen=True):
    messages: tuple[_Message, ...]


class _Entry(Value, frozen=True):
    id: str
    positive: _Side
    negative: _Side
    weight: float = 1.0


class _Choice(msgspec.Struct):
    """One question of CAA; other fields are not read."""

    question: str
    answer_matching_behavior: str
    answer_not_matching_behavior: str


def pair(name: str, positive: list[tuple[Role, str]], negative: list[tuple[Role, str]]) -> ContrastPair:
    """A pair from (role, text) messages."""
    return ContrastPair(id=name, positive=lines_of(positive), negative=lines_of(negative))


def load_pairs(path: Path | str) -> tuple[ContrastPair, ...]:
    """JSONL, one `{"id", "positive": {"messages": [...]}, "negative": {...}, "weight"}` a line; checked.

    Raises `InvalidInput` naming the line.
    """
    entries = [(line, decode(raw, _Entry, f"{path}:{line}")) for line, raw in _lines_of(path)]
    return _checked([(line, _pair(entry)) for line, entry in entries], path)


def load_caa(path: Path | str) -> tuple[ContrastPair, ...]:
    """Multiple-choice questions as CAA has them (arXiv 2312.06681), a JSON list or one a line; checked.

    A side is the question and an answer that ends at its letter: "(A)" becomes "(A", whose last token is the choice.
    Raises `InvalidInput` naming the line, or the place in the list.
    """
    raw = _text(path)
    if raw.lstrip().startswith("["):
        places = [(n, msgspec.json.encode(one)) for n, one in enumerate(decode(raw, list[Any], f"{path}"), 1)]
    else:
        places = [(line, text.encode()) for line, text in _lines_of(path)]
    asked = [(place, decode(one, _Choice, f"{path}:{place}")) for place, one in places]
    return _checked([(place, _choice(one, f"{path}:{place}", str(place))) for place, one in asked], path)


def check_pairs(pairs: list[ContrastPair] | tuple[ContrastPair, ...]) -> tuple[ContrastPair, ...]:
    """The pairs, if they can be fitted on: enough of them, distinct ids, no pair of identical texts."""
    for name, n in Counter(p.id for p in pairs).items():
        if n > 1:
            raise InvalidInput(f"contrast pair id {name!r} stands {n} times; ids are unique")
    for one in pairs:
        if why := _flaw(one):
            raise InvalidInput(f"contrast pair {one.id!r} {why}")
    if len(pairs) < LEAST:
        raise InvalidInput(f"expected at least {LEAST} contrast pairs; got {len(pairs)}")
    return tuple(pairs)


def data_of(pairs: tuple[ContrastPair, ...]) -> dict[str, Any]:
    """What a vector file says of its data."""
    return {
        "digest": content_digest(msgspec.json.encode(pairs, order="sorted")),
        "pairs": len(pairs),
        "source": "pairs",
    }


def _flaw(one: ContrastPair) -> str:
    if not one.positive or not one.negative:
        return "has a side without messages"
    if [line.text for line in one.positive] == [line.text for line in one.negative]:
        return "has the same text on both sides"
    if not one.weight > 0:
        return f"has the weight {one.weight}; expected one above 0"
    return ""


def _checked(placed: list[tuple[int, ContrastPair]], path: Path | str) -> tuple[ContrastPair, ...]:
    """As `check_pairs`, by place in a file."""
    first: dict[str, int] = {}
    for place, one in placed:
        if one.id in first:
            raise InvalidInput(
                f"{path}:{place}: contrast pair id {one.id!r} stands on {first[one.id]} already; ids are unique"
            )
        first[one.id] = place
        if why := _flaw(one):
            raise InvalidInput(f"{path}:{place}: contrast pair {one.id!r} {why}")
    if len(placed) < LEAST:
        raise InvalidInput(f"{path}: expected at least {LEAST} contrast pairs; got {len(placed)}")
    return tuple(one for _, one in placed)


def _text(path: Path | str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{path}: expected UTF-8 text; {error}") from error


def _lines_of(path: Path | str) -> list[tuple[int, str]]:
    """Lines that hold something, with their numbers."""
    numbered = enumerate(_text(path).split("\n"), start=1)  # JSON may hold other line ends within a text
    return [(number, raw) for number, raw in numbered if raw.strip()]


def _pair(entry: _Entry) -> ContrastPair:
    sides = ([(m.role, m.content) for m in side.messages] for side in (entry.positive, entry.negative))
    return msgspec.structs.replace(pair(entry.id, *sides), weight=entry.weight)


def _choice(one: _Choice, where: str, name: str) -> ContrastPair:
    sides: list[list[tuple[Role, str]]] = []
    for answer in (one.answer_matching_behavior, one.answer_not_matching_behavior):
        found = _LETTER.fullmatch(answer)
        if found is None:
            raise InvalidInput(
                f"{where}: expected an answer letter as '(A)' or 'B'; got {answer!r}; other answers make pairs of "
                "--format jsonl"
            )
        sides.append([("user", one.question), ("assistant", found[1])])
    return pair(name, *sides)


def unframed(pairs: Sequence[ContrastPair]) -> tuple[ContrastPair, ...]:
    """The pairs without their system texts, so that only the words differ."""
    return tuple(
        msgspec.structs.replace(one, positive=_said(one.positive), negative=_said(one.negative))
        for one in pairs
    )


def _said(lines: Sequence[Line]) -> tuple[Line, ...]:
    return tuple(line for line in lines if line.role != "system")


def lines_of(messages: list[tuple[Role, str]]) -> tuple[Line, ...]:
    """Lines as `READER` sees them, from (role, text) messages."""
    return tuple(_line(role, text, turn) for turn, (role, text) in enumerate(messages))


def _line(role: Role, text: str, turn: int) -> Line:
    if role == "system":
        return Line(role=role, segments=(Segment(text=text, phase="prompt"),), kind="framing")
    own = role == "assistant"
    segment = Segment(
        text=text, phase="answer" if own else "prompt", author=READER if own else role, turn=turn
    )
    return Line(role=role, segments=(segment,), kind="turn")
