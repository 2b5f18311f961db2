"""What the dialogues are about: plain text files beside this module, read once into frozen values."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

DOMAINS = ("food", "animals", "places", "seasons", "culture", "home")
_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Point:
    """A reason: `handle` names it in half a phrase, `clause` states it."""

    handle: str
    clause: str


@dataclass(frozen=True)
class Side:
    """One of the two answers to a topic's question: what it is called, what it claims, why."""

    label: str
    stance: str
    points: tuple[Point, ...]


@dataclass(frozen=True)
class Topic:
    """A question with exactly two sides; `noun` is what people say they talk about."""

    questions: tuple[str, ...]
    noun: str
    sides: tuple[Side, Side]


@dataclass(frozen=True)
class Trouble:
    """Something that weighs on a person: clauses about it, and advice in the imperative."""

    noun: str
    clauses: tuple[str, ...]
    tips: tuple[str, ...]


@dataclass(frozen=True)
class Kind:
    """A category with its members, all singular nouns."""

    one: str
    many: str
    members: tuple[str, ...]


def _blocks(name: str) -> list[list[str]]:
    text = (_HERE / f"{name}.txt").read_text(encoding="utf-8")
    return [block.splitlines() for block in text.strip().split("\n\n")]


def _side(lines: list[str]) -> Side:
    label, stance = lines[0][2:].split(" | ")
    return Side(label, stance, tuple(Point(*line.split(" | ")) for line in lines[1:]))


def _topic(lines: list[str]) -> Topic:
    plus = next(i for i, line in enumerate(lines) if line.startswith("+ "))
    minus = next(i for i, line in enumerate(lines) if line.startswith("- "))
    questions = tuple(line[2:] for line in lines if line.startswith("? "))
    noun = next(line[2:] for line in lines if line.startswith("@ "))
    return Topic(questions, noun, (_side(lines[plus:minus]), _side(lines[minus:])))


def _trouble(lines: list[str]) -> Trouble:
    clauses = tuple(line for line in lines[1:] if not line.startswith("> "))
    return Trouble(lines[0][2:], clauses, tuple(line[2:] for line in lines if line.startswith("> ")))


def _kind(lines: list[str]) -> Kind:
    one, many = lines[0].split(" | ")
    return Kind(one, many, tuple(lines[1].split()))


@cache
def topics() -> tuple[Topic, ...]:
    """All topics of all domains, in file order."""
    return tuple(_topic(block) for domain in DOMAINS for block in _blocks(domain))


@cache
def troubles() -> tuple[Trouble, ...]:
    """What personas worry about."""
    return tuple(_trouble(block) for block in _blocks("troubles"))


@cache
def kinds() -> tuple[Kind, ...]:
    """Categories for lists, yes/no and multiple-choice questions; no noun is in two of them."""
    return tuple(_kind(block) for block in _blocks("kinds"))


@cache
def words() -> tuple[str, ...]:
    """Common words that are planted as secrets."""
    return tuple((_HERE / "words.txt").read_text(encoding="utf-8").split())


@cache
def names() -> tuple[str, ...]:
    """Common first names, lower case."""
    return tuple((_HERE / "names.txt").read_text(encoding="utf-8").split())
