"""Pairs of conversations that differ in one trait: what directions are fitted on."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import msgspec

from symposia.core.errors import InvalidInput
from symposia.core.lines import Line, Segment
from symposia.core.span import Role
from symposia.core.value import Value, content_digest, decode

READER = "assistant"
LEAST = 8


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


def pair(name: str, positive: list[tuple[Role, str]], negative: list[tuple[Role, str]]) -> ContrastPair:
    """A pair from (role, text) messages."""
    return ContrastPair(id=name, positive=_lines(positive), negative=_lines(negative))


def load_pairs(path: Path | str) -> tuple[ContrastPair, ...]:
    """JSONL, one `{"id", "positive": {"messages": [...]}, "negative": {...}, "weight"}` a line; checked."""
    pairs = []
    for number, raw in enumerate(Path(path).read_text(encoding="utf-8").splitlines(), start=1):
        if raw.strip():
            entry = decode(raw, _Entry, f"{path}:{number}")
            sides = (
                [(m.role, m.content) for m in side.messages] for side in (entry.positive, entry.negative)
            )
            made = pair(entry.id, *sides)
            pairs.append(msgspec.structs.replace(made, weight=entry.weight))
    return check_pairs(pairs)


def check_pairs(pairs: list[ContrastPair] | tuple[ContrastPair, ...]) -> tuple[ContrastPair, ...]:
    """The pairs, if they can be fitted on: enough of them, distinct ids, no pair of identical texts."""
    if len(pairs) < LEAST:
        raise InvalidInput(f"expected at least {LEAST} contrast pairs; got {len(pairs)}")
    for name, n in Counter(p.id for p in pairs).items():
        if n > 1:
            raise InvalidInput(f"contrast pair id {name!r} stands {n} times; ids are unique")
    for one in pairs:
        if [line.text for line in one.positive] == [line.text for line in one.negative]:
            raise InvalidInput(f"contrast pair {one.id!r} has the same text on both sides")
        if not one.weight > 0:
            raise InvalidInput(f"contrast pair {one.id!r}: expected a weight above 0; got {one.weight}")
    return tuple(pairs)


def data_of(pairs: tuple[ContrastPair, ...]) -> dict[str, Any]:
    """What a vector file says of its data."""
    return {
        "digest": content_digest(msgspec.json.encode(pairs, order="sorted")),
        "pairs": len(pairs),
        "source": "pairs",
    }


def _lines(messages: list[tuple[Role, str]]) -> tuple[Line, ...]:
    return tuple(_line(role, text, turn) for turn, (role, text) in enumerate(messages))


def _line(role: Role, text: str, turn: int) -> Line:
    if role == "system":
        return Line(role=role, segments=(Segment(text=text, phase="prompt"),), kind="framing")
    own = role == "assistant"
    segment = Segment(
        text=text, phase="answer" if own else "prompt", author=READER if own else role, turn=turn
    )
    return Line(role=role, segments=(segment,), kind="turn")
