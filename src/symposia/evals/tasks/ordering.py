"""Who comes where: clues that leave one order, none of them idle.

Level 1: four in a row, and only who comes before whom. Level 2: five, neighbours and places too. Level 3: six, and few
clues say directly who comes before whom.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations, pairwise, permutations
from random import Random

from .drawn import NAMES, Drawn, choice

Order = tuple[str, ...]
PLACES = ("first", "second", "third", "fourth", "fifth", "sixth")
_COUNT = {4: "Four", 5: "Five", 6: "Six"}


@dataclass(frozen=True, slots=True)
class Setting:
    """Words for one kind of row; slots are two members, or a member and a place."""

    opening: str
    before: str
    after: str
    right_after: str
    apart: str
    at: str
    not_at: str
    asked: str


SETTINGS = (
    Setting(
        "{} runners finish a race, no two at the same time: {}.",
        "{0} finishes before {1}.",
        "{1} finishes after {0}.",
        "{1} is the next to finish after {0}.",
        "Exactly one runner finishes between {0} and {1}.",
        "{0} finishes {1}.",
        "{0} does not finish {1}.",
        "Who finishes {}?",
    ),
    Setting(
        "{} people stand in a queue at a window, one behind the other: {}.",
        "{0} stands somewhere ahead of {1}.",
        "{1} stands somewhere behind {0}.",
        "{1} stands directly behind {0}.",
        "Exactly one person stands between {0} and {1}.",
        "{0} is {1} in the queue.",
        "{0} is not {1} in the queue.",
        "Who is {} in the queue, counted from the window?",
    ),
    Setting(
        "{} guests arrive at a party one by one: {}.",
        "{0} arrives earlier than {1}.",
        "{1} arrives later than {0}.",
        "{1} is the next guest to arrive after {0}.",
        "Exactly one guest arrives between {0} and {1}.",
        "{0} is the {1} guest to arrive.",
        "{0} is not the {1} guest to arrive.",
        "Who is the {} guest to arrive?",
    ),
    Setting(
        "{} friends sit side by side on a bench and are counted from the left: {}.",
        "{0} sits somewhere to the left of {1}.",
        "{1} sits somewhere to the right of {0}.",
        "{1} sits directly to the right of {0}.",
        "Exactly one friend sits between {0} and {1}.",
        "{0} sits in the {1} place.",
        "{0} does not sit in the {1} place.",
        "Who sits in the {} place?",
    ),
)


@dataclass(frozen=True, slots=True)
class Clue:
    """What is said, and whether an order agrees with it."""

    text: str
    holds: Callable[[Order], bool]


def ordering(random: Random, level: int) -> Drawn:
    """A puzzle of the level with one solution, and four of its members to choose from."""
    size = 3 + level
    setting = random.choice(SETTINGS)
    order = tuple(random.sample(NAMES, size))
    clues = _enough(order, _candidates(setting, order, level, random))
    place = random.randrange(size)
    told = sorted(order)
    opening = setting.opening.format(_COUNT[size], f"{', '.join(told[:-1])} and {told[-1]}")
    question = setting.asked.format(PLACES[place])
    others = random.sample([name for name in order if name != order[place]], 3)
    options = tuple(sorted((order[place], *others)))
    return choice(" ".join((opening, *(clue.text for clue in clues), question)), options, order[place])


def _enough(order: Order, candidates: Sequence[Clue]) -> list[Clue]:
    """Clues in the order offered until one order is left; then those are dropped that the others make idle."""
    left = list(permutations(sorted(order)))
    taken: list[Clue] = []
    for clue in candidates:
        still = [o for o in left if clue.holds(o)]
        if len(still) < len(left):
            taken.append(clue)
            left = still
        if len(left) == 1:
            break
    orders = list(permutations(sorted(order)))
    for clue in tuple(taken):
        others = [c for c in taken if c is not clue]
        if sum(all(c.holds(o) for c in others) for o in orders) == 1:
            taken = others
    return taken


def _candidates(setting: Setting, order: Order, level: int, random: Random) -> list[Clue]:
    """True clues in a drawn order, the plainest last on levels 2 and 3; together they always leave one order."""
    before = [_before(setting, *pair, random) for pair in combinations(order, 2)]
    random.shuffle(before)
    if level == 1:
        return before
    rich = [*_neighbours(setting, order), *_gaps(setting, order), *_places(setting, order, random)]
    random.shuffle(rich)
    kept = 3 if level == 2 else 5
    return [*rich[:kept], *before]


def _before(setting: Setting, a: str, b: str, random: Random) -> Clue:
    text = random.choice((setting.before, setting.after)).format(a, b)
    return Clue(text, lambda o: o.index(a) < o.index(b))


def _neighbours(setting: Setting, order: Order) -> Iterator[Clue]:
    for a, b in pairwise(order):
        yield Clue(setting.right_after.format(a, b), partial(_is_next, a, b))


def _gaps(setting: Setting, order: Order) -> Iterator[Clue]:
    for a, b in zip(order, order[2:], strict=False):
        yield Clue(setting.apart.format(*sorted((a, b))), partial(_are_apart, a, b))


def _places(setting: Setting, order: Order, random: Random) -> Iterator[Clue]:
    name = random.choice(order)
    at = order.index(name)
    yield Clue(setting.at.format(name, PLACES[at]), partial(_is_at, name, at))
    for other in order:
        wrong = random.choice([p for p in range(len(order)) if order[p] != other])
        yield Clue(setting.not_at.format(other, PLACES[wrong]), partial(_is_not_at, other, wrong))


def _is_next(a: str, b: str, order: Order) -> bool:
    return order.index(b) - order.index(a) == 1


def _are_apart(a: str, b: str, order: Order) -> bool:
    return abs(order.index(b) - order.index(a)) == 2


def _is_at(name: str, place: int, order: Order) -> bool:
    return order.index(name) == place


def _is_not_at(name: str, place: int, order: Order) -> bool:
    return order.index(name) != place
