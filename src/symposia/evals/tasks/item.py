"""One question with one right answer, as a line of a task file."""

from __future__ import annotations

from string import ascii_uppercase
from typing import Annotated, Literal

from msgspec import Meta

from symposia.core.errors import InvalidInput
from symposia.core.value import Value, digest

NonEmpty = Annotated[str, Meta(min_length=1)]
Kind = Literal["number", "choice", "text", "auto"]


class Question(Value, frozen=True, kw_only=True):
    """What is put to a method, and which answers it allows."""

    id: NonEmpty
    question: NonEmpty
    kind: Kind = "auto"
    options: tuple[NonEmpty, ...] = ()

    @property
    def digest(self) -> str:
        """Names it by its content."""
        return digest(self)

    @property
    def asked(self) -> str:
        """The question as it is put, with its options under their letters."""
        lettered = zip(ascii_uppercase, self.options, strict=False)
        return "\n".join((self.question, *(f"{letter}) {option}" for letter, option in lettered)))


class Item(Question, frozen=True, kw_only=True):
    """`answer` is a letter where there are `options`. `level` is 1 to 3 in our sets, 0 where nobody said."""

    answer: NonEmpty
    level: Annotated[int, Meta(ge=0)] = 0

    def __post_init__(self) -> None:
        if (self.kind == "choice") != bool(self.options):
            raise InvalidInput(
                f"item {self.id!r}: expected options where kind is 'choice' and only there; "
                f"got kind {self.kind!r} and {len(self.options)} options"
            )
        if not self.options:
            return
        letters = ascii_uppercase[: len(self.options)]
        if not 2 <= len(self.options) <= 26 or len(set(self.options)) < len(self.options):
            raise InvalidInput(f"item {self.id!r}: expected 2 to 26 different options; got {self.options}")
        if len(self.answer) != 1 or self.answer not in letters:
            raise InvalidInput(
                f"item {self.id!r}: expected the letter of an option, {letters[0]} to {letters[-1]}; "
                f"got {self.answer!r}"
            )


def chosen(options: tuple[str, ...], right: str) -> str:
    """The letter of the right option."""
    return ascii_uppercase[options.index(right)]
