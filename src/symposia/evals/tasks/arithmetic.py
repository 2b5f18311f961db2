"""Word problems over whole numbers.

Level 1: one step with single digits, half of them plain sums in few words. Level 2: several steps in the order told.
Level 3: the quantity asked for must be found from conditions.
"""

from __future__ import annotations

from random import Random

from .drawn import NAMES, Drawn, number

THINGS = ("apples", "books", "cards", "coins", "eggs", "marbles", "nuts", "pens", "shells", "stamps")
TIMES = {2: "twice", 3: "three times", 4: "four times", 5: "five times"}


def arithmetic(random: Random, level: int) -> Drawn:
    """A problem of the level."""
    return random.choice({1: _ONE, 2: _SEVERAL, 3: _CONDITIONS}[level])(random)


def _two(random: Random) -> list[str]:
    return random.sample(NAMES, 2)


def _plain(random: Random) -> Drawn:
    a, b = random.randint(0, 9), random.randint(0, 9)
    sign, word = random.choice((("+", "plus"), ("-", "minus"), ("*", "times")))
    if sign == "-" and b > a:
        a, b = b, a
    spoken = random.choice((f"{a} {sign} {b}", f"{a} {word} {b}"))
    form = random.choice(("What is {}?", "How much is {}?", "Please work out {}.", "Tell me what {} is."))
    return number(form.format(spoken), {"+": a + b, "-": a - b, "*": a * b}[sign])


def _gets(random: Random) -> Drawn:
    who, things = random.choice(NAMES), random.choice(THINGS)
    a, b = random.randint(2, 9), random.randint(2, 9)
    return number(f"{who} has {a} {things} and gets {b} more. How many {things} does {who} have now?", a + b)


def _takes(random: Random) -> Drawn:
    who, things = random.choice(NAMES), random.choice(THINGS)
    b = random.randint(2, 7)
    a = random.randint(b + 1, 9)
    return number(
        f"There are {a} {things} on the table. {who} takes {b} of them away. "
        f"How many {things} are left on the table?",
        a - b,
    )


def _bags(random: Random) -> Drawn:
    who, things = random.choice(NAMES), random.choice(THINGS)
    a, b = random.randint(2, 9), random.randint(2, 9)
    return number(
        f"{who} buys {a} bags with {b} {things} in each. How many {things} does {who} buy in all?", a * b
    )


def _shares(random: Random) -> Drawn:
    things = random.choice(THINGS)
    each, children = random.randint(2, 9), random.randint(2, 6)
    return number(
        f"{each * children} {things} are shared equally among {children} children. "
        f"How many {things} does each child get?",
        each,
    )


def _change(random: Random) -> Drawn:
    who, (one, other) = random.choice(NAMES), random.sample([t for t in THINGS if t != "coins"], 2)
    a, p, b, q = (random.randint(2, 9) for _ in range(4))
    paid = a * p + b * q + random.randint(1, 40)
    return number(
        f"{who} buys {a} {one} at {p} coins each and {b} {other} at {q} coins each, and pays with {paid} coins. "
        f"How many coins does {who} get back?",
        paid - a * p - b * q,
    )


def _bus(random: Random) -> Drawn:
    start, on, on_2 = random.randint(12, 40), random.randint(1, 9), random.randint(1, 9)
    off, off_2 = random.randint(2, 9), random.randint(2, 9)
    return number(
        f"A bus sets out with {start} passengers. At the first stop {off} get off and {on} get on. "
        f"At the second stop {off_2} get off and {on_2} get on. How many passengers are on the bus then?",
        start - off + on - off_2 + on_2,
    )


def _pages(random: Random) -> Drawn:
    who = random.choice(NAMES)
    a, d, b, e = random.randint(5, 25), random.randint(2, 7), random.randint(5, 25), random.randint(2, 7)
    left = random.randint(3, 90)
    return number(
        f"A book has {a * d + b * e + left} pages. {who} reads {a} pages a day for {d} days, and after that {b} pages "
        f"a day for {e} days. How many pages are left to read?",
        left,
    )


def _boxes(random: Random) -> Drawn:
    who, things = random.choice(NAMES), random.choice(THINGS)
    size = random.randint(4, 12)
    full, over = random.randint(3, 15), random.randint(1, size - 1)
    told = (
        f"{who} packs {full * size + over} {things} into boxes that hold {size} each, "
        "filling every box before taking the next."
    )
    if random.random() < 0.5:
        return number(f"{told} How many boxes are full at the end?", full)
    return number(f"{told} How many {things} are in the last box, which is not full?", over)


def _hall(random: Random) -> Drawn:
    rows, seats, reserved = random.randint(6, 24), random.randint(8, 30), random.randint(2, 5)
    empty = random.randint(3, 40)
    return number(
        f"A hall has {rows} rows of {seats} seats. The first {reserved} rows stay closed, and {empty} seats in the "
        "other rows are empty. Every other seat is taken. How many seats are taken?",
        (rows - reserved) * seats - empty,
    )


def _together(random: Random) -> Drawn:
    (one, other), things = _two(random), random.choice(THINGS)
    few, more = random.randint(4, 60), random.randint(2, 30)
    asked, answer = random.choice(((one, few + more), (other, few)))
    return number(
        f"{one} and {other} have {2 * few + more} {things} together. {one} has {more} more than {other}. "
        f"How many {things} does {asked} have?",
        answer,
    )


def _evened(random: Random) -> Drawn:
    (one, other), things = _two(random), random.choice(THINGS)
    factor, few = random.choice(tuple(TIMES)), 2 * random.randint(2, 20)
    gift = (factor - 1) * few // 2
    asked, answer = random.choice(((one, factor * few), (other, few)))
    return number(
        f"{one} has {TIMES[factor]} as many {things} as {other}. If {one} gave {gift} of them to {other}, they would "
        f"have equally many. How many {things} does {asked} have?",
        answer,
    )


def _ages(random: Random) -> Drawn:
    one, other = _two(random)
    factor, young, years = random.choice(tuple(TIMES)), random.randint(2, 15), random.randint(2, 12)
    return number(
        f"{one} is {factor * (young + years) - years} years old. In {years} years {one} will be {TIMES[factor]} as old "
        f"as {other} will be then. How many years old is {other} now?",
        young,
    )


def _yard(random: Random) -> Drawn:
    hens, rabbits = random.randint(3, 40), random.randint(3, 40)
    asked, answer = random.choice((("hens", hens), ("rabbits", rabbits)))
    return number(
        "A yard holds only hens, with two legs each, and rabbits, with four legs each. "
        f"Together they have {hens + rabbits} heads and {2 * hens + 4 * rabbits} legs. How many {asked} are there?",
        answer,
    )


def _tickets(random: Random) -> Drawn:
    child, more = random.randint(3, 20), random.randint(2, 15)
    adults, children = random.randint(2, 6), random.randint(2, 6)
    return number(
        f"A ticket for an adult costs {more} coins more than one for a child. Tickets for {adults} adults and "
        f"{children} children cost {adults * (child + more) + children * child} coins. "
        "How many coins does a child's ticket cost?",
        child,
    )


def _tank(random: Random) -> Drawn:
    leak, faster, minutes = random.randint(2, 9), random.randint(2, 15), random.randint(6, 45)
    return number(
        f"An empty tank holds {faster * minutes} litres when full. Every minute {leak + faster} litres flow in and "
        f"{leak} litres leak out. After how many minutes is the tank full?",
        minutes,
    )


_STORIES = (_gets, _takes, _bags, _shares)
_ONE = (*(_plain,) * len(_STORIES), *_STORIES)
_SEVERAL = (_change, _bus, _pages, _boxes, _hall)
_CONDITIONS = (_together, _evened, _ages, _yard, _tickets, _tank)
