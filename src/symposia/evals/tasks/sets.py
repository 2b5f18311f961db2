"""The sets by name: what ships, and how more of it is made. The shipped seed gives the shipped bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from random import Random

from symposia.core.errors import InvalidInput, UnknownName
from symposia.core.value import canonical, decode

from .arithmetic import arithmetic
from .calendar import calendar
from .counting import counting
from .drawn import Draw
from .item import Item
from .ordering import ordering

SETS: Mapping[str, Draw] = {
    "arithmetic": arithmetic,
    "ordering": ordering,
    "calendar": calendar,
    "counting": counting,
}
LEVELS = 3
SHIPPED, SHIPPED_SEED = 60, 0
_TRIES = 1000


def make(name: str, n: int, seed: int) -> tuple[Item, ...]:
    """`n` different items, levels in turn; item `i` is the same whatever `n` is.

    Raises `UnknownName`, and `InvalidInput` where a level has no more questions that are new.
    """
    draw = generator(name)
    if n < 1:
        raise InvalidInput(f"expected at least one item; got {n}")
    items: list[Item] = []
    seen: set[str] = set()
    for number in range(n):
        level = number % LEVELS + 1
        for attempt in range(_TRIES):
            drawn = draw(Random(f"{name}/{seed}/{number}/{attempt}"), level)
            if drawn.question not in seen:
                break
        else:
            raise InvalidInput(f"{name} level {level} has no more than {len(items)} different questions")
        seen.add(drawn.question)
        items.append(
            Item(
                id=f"{name}-{number + 1:03d}",
                question=drawn.question,
                kind=drawn.kind,
                answer=drawn.answer,
                options=drawn.options,
                level=level,
            )
        )
    return tuple(items)


def generator(name: str) -> Draw:
    """The generator of that name; `UnknownName` lists them."""
    if name not in SETS:
        raise UnknownName("task set", name, SETS)
    return SETS[name]


def shipped(name: str) -> tuple[Item, ...]:
    """The 60 items that ship under that name."""
    generator(name)
    raw = files(__package__).joinpath("shipped", f"{name}.jsonl").read_bytes()
    return tuple(
        decode(line, Item, f"{name}.jsonl:{at}") for at, line in enumerate(raw.splitlines(), start=1)
    )


def lines(items: Sequence[Item]) -> bytes:
    """Items as a file: canonical JSON, one a line."""
    return b"".join(canonical(item) + b"\n" for item in items)
