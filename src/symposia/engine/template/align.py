"""Find every piece of content in a rendering, exactly once, between the literals around it.

Content may stand as it is or under one declared transform: white space (or only newlines) trimmed at either end, and
JSON string escapes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from symposia.core.errors import TemplateError
from symposia.core.lines import Line

from .slots import Slot


@dataclass(frozen=True, slots=True)
class Literals:
    """What a template writes around slots: `texts[k]` precedes occurrence k, which is of slot `slots[k]`."""

    texts: tuple[str, ...]
    slots: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Transform:
    """How content stands in the rendering: how many characters are cut at each end, and its escape."""

    left: int = 0
    right: int = 0
    escape: str = ""

    def shown(self, text: str) -> str:
        """The text as it stands."""
        return _escape(text[self.left : len(text) - self.right], self.escape)


AS_IS = Transform()
# How often a slot may stand. A name is said again in its result by some templates; an id by few; reasoning that a
# template leaves out is reported as omitted.
_MANY = 1 << 30
_EXPECTED = {
    "content": (1, 1),
    "argument": (1, 1),
    "number": (1, 1),
    "reasoning": (0, 1),
    "name": (1, _MANY),
    "id": (0, _MANY),
}


def literals_of(text: str, words: Sequence[str], slots: Sequence[Slot], lines: Sequence[Line]) -> Literals:
    """Cut a rendering of sentinels at its sentinels. `TemplateError` if a slot is lost, repeated or moved."""
    found: list[tuple[int, int]] = []
    for index, (word, slot) in enumerate(zip(words, slots, strict=True)):
        places = list(_places(text, word))
        least, most = _EXPECTED[slot.kind]
        if len(places) > most or (len(places) < least and (slot.in_call or slot.kind == "content")):
            raise TemplateError(_count_error(slot, lines, len(places)))
        found += [(place, index) for place in places]
    found.sort()
    _in_order([index for _, index in found], slots, lines)
    texts: list[str] = []
    end = 0
    for place, index in found:
        texts.append(text[end:place])
        end = place + len(words[index])
    return Literals((*texts, text[end:]), tuple(index for _, index in found))


def align(
    text: str,
    literals: Literals,
    values: Sequence[str | int | float],
    slots: Sequence[Slot],
    lines: Sequence[Line],
) -> list[Transform]:
    """How each occurrence stands in the real rendering. `TemplateError` naming the line that does not stand there."""
    texts, order = literals.texts, literals.slots
    plain = [as_text(values[index]) for index in order]
    if text == "".join(_interleaved(texts, plain)):
        return [AS_IS] * len(order)
    if not order or not text.startswith(texts[0]):
        raise TemplateError(_change_error(slots[order[0]] if order else None, lines))
    found = _search(text, literals, values)
    if isinstance(found, int):
        raise TemplateError(_change_error(slots[order[found]], lines))
    return found


def as_text(value: str | float) -> str:
    """A value as JSON writes it; text as it is."""
    return value if isinstance(value, str) else json.dumps(value)


def _search(text: str, literals: Literals, values: Sequence[str | int | float]) -> list[Transform] | int:
    """Depth-first over the few ways each slot may stand; on failure, how many occurrences fitted at best."""
    texts, order = literals.texts, literals.slots
    chosen: list[tuple[Transform, int]] = []  # and the position after it and its literal
    trying: list[Iterator[Transform]] = []
    best = 0
    while True:
        k = len(chosen)
        if k == len(order):
            if (chosen[-1][1] if chosen else len(texts[0])) == len(text):
                return [transform for transform, _ in chosen]
        elif len(trying) == k:
            best = max(best, k)
            trying.append(_transforms(values[order[k]]))
        if len(trying) > k:
            position = chosen[-1][1] if chosen else len(texts[0])
            fit = _next_fit(text, position, as_text(values[order[k]]), texts[k + 1], trying[k])
            if fit is not None:
                chosen.append(fit)
                continue
            trying.pop()
        if not chosen:
            return best
        chosen.pop()


def _next_fit(
    text: str, position: int, value: str, literal: str, ways: Iterator[Transform]
) -> tuple[Transform, int] | None:
    for way in ways:
        shown = way.shown(value)
        end = position + len(shown)
        if text.startswith(shown, position) and text.startswith(literal, end):
            return way, end + len(literal)
    return None


def _transforms(value: str | float) -> Iterator[Transform]:
    """The distinct ways a value may stand, the plainest first."""
    yield AS_IS
    if not isinstance(value, str):
        return
    trims = [(0, 0)]
    for chars in (None, "\n"):
        left, right = len(value) - len(value.lstrip(chars)), len(value) - len(value.rstrip(chars))
        if left == len(value):
            right = 0  # nothing but white space: cut once
        trims += [(left, right), (left, 0), (0, len(value) if left == len(value) else right)]
    distinct = list(dict.fromkeys(trims))
    yield from (Transform(left, right) for left, right in distinct[1:])
    for escape in ("json", "ascii"):
        if _escape(value, escape) != value:
            yield from (Transform(left, right, escape) for left, right in distinct)


def _escape(text: str, escape: str) -> str:
    return json.dumps(text, ensure_ascii=escape == "ascii")[1:-1] if escape else text


def _interleaved(texts: Sequence[str], between: Sequence[str]) -> Iterator[str]:
    for literal, value in zip(texts, between, strict=False):
        yield literal
        yield value
    yield texts[-1]


def _places(text: str, word: str) -> Iterator[int]:
    at = text.find(word)
    while at >= 0:
        yield at
        at = text.find(word, at + 1)


def _in_order(occurrences: Sequence[int], slots: Sequence[Slot], lines: Sequence[Line]) -> None:
    """Lines, and calls within a line, stand in the conversation's order; later mentions of a name do not count."""
    last = last_call = (0, -1)
    for index in dict.fromkeys(occurrences):
        slot = slots[index]
        if slot.kind == "id":
            continue
        place = (slot.line, slot.call)
        if slot.line < last[0] or (slot.in_call and place < last_call):
            raise TemplateError(
                f"{_where(slot, lines)} is not where it was said: the template moves it; {_WAY_OUT}"
            )
        last = place
        last_call = place if slot.in_call else last_call


_WAY_OUT = "use another model, or pass a template that shows every line once and in order"


def _where(slot: Slot, lines: Sequence[Line]) -> str:
    what = {"content": "text", "reasoning": "reasoning", "id": "call id"}.get(slot.kind, f"call {slot.call}")
    return f"line {slot.line} ({lines[slot.line].role}, {lines[slot.line].kind}): its {what}"


def _count_error(slot: Slot, lines: Sequence[Line], times: int) -> str:
    verb = "loses" if times == 0 else f"repeats ({times} times)"
    return f"{_where(slot, lines)} was expected once in the prompt; the template {verb} it; {_WAY_OUT}"


def _change_error(slot: Slot | None, lines: Sequence[Line]) -> str:
    if slot is None:
        return f"the template's own text depends on what is said; {_WAY_OUT}"
    return (
        f"{_where(slot, lines)} is not in the prompt as it was said, trimmed or escaped: the template changes it or "
        f"the text around it; {_WAY_OUT}"
    )
