"""Right, wrong, unreadable or failed: an answer against its item, by the same keys that debates group answers with."""

from __future__ import annotations

from symposia.core.errors import InvalidInput
from symposia.evals.tasks.item import Item
from symposia.talk.debate.keys import answer_key

from .trial import Grade, Tried


def grade(tried: Tried, item: Item) -> Grade:
    """What a method's result is worth."""
    if tried.failed:
        return "failed"
    return "unreadable" if tried.answer is None else grade_text(tried.answer, item)


def grade_text(answer: str, item: Item) -> Grade:
    """What an answer is worth: unreadable if it is not of the item's kind."""
    key = answer_key(answer, item.kind, item.options)
    if key is None:
        return "unreadable"
    return "right" if key == answer_key(item.answer, item.kind, item.options) else "wrong"


def check_item(item: Item) -> Item:
    """The item, if its own answer is of its kind: otherwise nobody could be right."""
    if answer_key(item.answer, item.kind, item.options) is None:
        raise InvalidInput(f"item {item.id!r}: expected an answer of kind {item.kind!r}; got {item.answer!r}")
    return item
