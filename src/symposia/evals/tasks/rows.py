"""Rows of other people's files as items. A form says which keys it reads; what a row says is checked, never mended."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from symposia.core.errors import InvalidInput

from .item import Item, chosen

Row = Mapping[str, Any]
Words = Annotated[str, Meta(min_length=1)]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a row stands: what its item is called, and the seed of a shuffle."""

    id: str
    seed: int


@dataclass(frozen=True, slots=True)
class Form:
    """The keys a form needs, and how a row with them becomes an item."""

    keys: tuple[str, ...]
    read: Callable[[Row, Place], Item]


class _GSM8K(msgspec.Struct):
    question: Words
    answer: Words


class _Math(msgspec.Struct):
    problem: Words
    answer: Words
    level: int
    subject: str


class _GPQA(msgspec.Struct):
    question: Words = msgspec.field(name="Question")
    right: Words = msgspec.field(name="Correct Answer")
    wrong_1: Words = msgspec.field(name="Incorrect Answer 1")
    wrong_2: Words = msgspec.field(name="Incorrect Answer 2")
    wrong_3: Words = msgspec.field(name="Incorrect Answer 3")


class _Targets(msgspec.Struct):
    choices: tuple[Words, ...]
    labels: tuple[Annotated[int, Meta(ge=0, le=1)], ...]


class _TruthfulQA(msgspec.Struct):
    question: Words
    mc1_targets: _Targets


_FINAL = re.compile(r"####\s*([-+]?[\d,]+(?:\.\d+)?)\s*$")


def _native(row: Row, place: Place) -> Item:
    del place
    return msgspec.convert(row, Item)


def _gsm8k(row: Row, place: Place) -> Item:
    """The number after `####` is the answer; the worked solution before it is not shown to anybody."""
    read = msgspec.convert(row, _GSM8K)
    found = _FINAL.search(read.answer)
    if found is None:
        raise InvalidInput(f"expected an answer that ends with '#### n'; got {read.answer[-40:]!r}")
    return Item(id=place.id, question=read.question, kind="number", answer=found[1].replace(",", ""))


def _math500(row: Row, place: Place) -> Item:
    read = msgspec.convert(row, _Math)
    return Item(id=place.id, question=read.problem, answer=read.answer, level=read.level)


def _gpqa(row: Row, place: Place) -> Item:
    read = msgspec.convert(row, _GPQA)
    options = tuple(text.strip() for text in (read.right, read.wrong_1, read.wrong_2, read.wrong_3))
    return _shuffled(read.question, options, options[0], place)


def _truthfulqa(row: Row, place: Place) -> Item:
    read = msgspec.convert(row, _TruthfulQA)
    choices, labels = read.mc1_targets.choices, read.mc1_targets.labels
    if len(choices) != len(labels) or sum(labels) != 1:
        raise InvalidInput(f"expected one label a choice and one of them 1; got labels {list(labels)}")
    return _shuffled(read.question, choices, choices[labels.index(1)], place)


def _shuffled(question: str, options: tuple[str, ...], right: str, place: Place) -> Item:
    """Files list the right answer first; an order of the item's own, from the seed, does not."""
    order = sorted(options)
    Random(f"{place.seed}/{question}").shuffle(order)
    shown = tuple(order)
    return Item(id=place.id, question=question, kind="choice", answer=chosen(shown, right), options=shown)


FORMS: Mapping[str, Form] = {
    "native": Form(("id", "question", "answer"), _native),
    "gsm8k": Form(("question", "answer"), _gsm8k),
    "math500": Form(("problem", "answer", "level", "subject"), _math500),
    "gpqa": Form(
        ("Question", "Correct Answer", "Incorrect Answer 1", "Incorrect Answer 2", "Incorrect Answer 3"),
        _gpqa,
    ),
    "truthfulqa": Form(("question", "mc1_targets"), _truthfulqa),
}
