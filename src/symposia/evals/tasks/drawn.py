"""What a generator draws: a question that is not yet a numbered item."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from .item import Kind, chosen

NAMES = (
    *("Ada", "Ben", "Chen", "Dina", "Emil", "Fatma", "Goran", "Hana", "Ivo", "Jana", "Kofi", "Lena"),
    *("Marco", "Nadia", "Omar", "Petra", "Quentin", "Rosa", "Sami", "Tara", "Uwe", "Vera", "Walid", "Yuki"),
)


@dataclass(frozen=True, slots=True)
class Drawn:
    """A question, its kind, its answer, and options where it is a choice."""

    question: str
    kind: Kind
    answer: str
    options: tuple[str, ...] = ()


Draw = Callable[[Random, int], Drawn]
"""A question of a level from 1 to 3; pure but for the random numbers it takes."""


def number(question: str, answer: int) -> Drawn:
    """A question whose answer is a whole number."""
    return Drawn(question, "number", str(answer))


def choice(question: str, options: tuple[str, ...], right: str) -> Drawn:
    """A question whose answer is one of the options."""
    return Drawn(question, "choice", chosen(options, right), options)
