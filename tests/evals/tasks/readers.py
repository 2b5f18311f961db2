"""Second solvers: they read the question text, know nothing of how it was made, and try whatever is possible."""

from __future__ import annotations

import re
from itertools import permutations
from string import ascii_uppercase

_NAME = r"[A-Z][a-z]+"
_TIMES = {"twice": 2, "three times": 3, "four times": 4, "five times": 5}


class NotUnderstood(AssertionError):
    """A question no reader here understands."""


def solve(question: str, options: tuple[str, ...] = ()) -> str:
    """The answer: a number, a date, or the letter of an option."""
    for reader in (sums, stories, conditions, rows, dates, counts):
        found = reader(question)
        if found is not None:
            return ascii_uppercase[options.index(found)] if options else str(found)
    raise NotUnderstood(question)


def numbers(text: str) -> list[int]:
    return [int(found) for found in re.findall(r"\d+", text)]


def sums(text: str) -> int | None:
    found = re.fullmatch(
        r"(?:What is|How much is|Please work out|Tell me what) (\d+) (\+|-|\*|plus|minus|times) (\d+)(?: is)?[.?]",
        text,
    )
    if not found:
        return None
    a, sign, b = int(found[1]), found[2], int(found[3])
    if sign in ("+", "plus"):
        return len([*range(a), *range(b)])
    if sign in ("-", "minus"):
        return next(c for c in range(100) if b + c == a)
    return sum(a for _ in range(b))


def stories(text: str) -> int | None:
    """Things move one after another; the quantity asked for is what is left where the question looks."""
    given = numbers(text)
    if re.search(r" and gets \d+ more\. How many (\w+) does", text):
        return sum(given)
    if " on the table. " in text and " of them away. " in text:
        return len(list(range(given[0]))[given[1] :])
    if "are shared equally among" in text:
        return next(each for each in range(1000) if sum(each for _ in range(given[1])) == given[0])
    return journeys(text)


def journeys(text: str) -> int | None:
    given = numbers(text)
    if found := re.search(r"buys (\d+) bags with (\d+) \w+ in each\. How many \w+ does \w+ buy in all", text):
        return sum(int(found[2]) for _ in range(int(found[1])))
    if "passengers" in text:
        aboard = int(re.search(r"sets out with (\d+)", text)[1])
        for off, on in re.findall(r"(\d+) get off and (\d+) get on", text):
            aboard = aboard - int(off) + int(on)
        return aboard
    if " pays with " in text:
        left = int(re.search(r"pays with (\d+) coins", text)[1])
        for count, price in re.findall(r"(\d+) \w+ at (\d+) coins each", text):
            left -= sum(int(price) for _ in range(int(count)))
        return left
    if " pages" in text:
        left = int(re.search(r"A book has (\d+) pages", text)[1])
        for pages, days in re.findall(r"(\d+) pages a day for (\d+) days", text):
            for _ in range(int(days)):
                left -= int(pages)
        return left
    if "into boxes that hold" in text:
        left, size, boxes = given[0], given[1], 0
        while left >= size:
            left, boxes = left - size, boxes + 1
        return boxes if "How many boxes are full" in text else left
    if "A hall has" in text:
        count, seats, closed, empty = given
        return sum(seats for row in range(count) if row >= closed) - empty
    return None


def conditions(text: str) -> int | None:
    """Everybody's quantity is tried until all sentences hold; just one assignment may."""
    if found := re.search(
        rf"({_NAME}) and ({_NAME}) have (\d+) \w+ together\. \1 has (\d+) more than \2\.", text
    ):
        both, more = int(found[3]), int(found[4])
        return _asked(text, found, [(p, both - p) for p in range(both + 1) if p - (both - p) == more])
    if found := re.search(
        rf"({_NAME}) has ([\w ]+?) as many \w+ as ({_NAME})\. If \1 gave (\d+) of them to \3, they would have equally",
        text,
    ):
        factor, gift = _TIMES[found[2]], int(found[4])
        fits = [(factor * q, q) for q in range(1000) if factor * q - gift == q + gift]
        return _asked(text, (0, found[1], found[3]), fits)
    if found := re.search(
        rf"({_NAME}) is (\d+) years old\. In (\d+) years \1 will be ([\w ]+?) as old as ({_NAME}) will be then\.",
        text,
    ):
        old, years, factor = int(found[2]), int(found[3]), _TIMES[found[4]]
        return _only([q for q in range(200) if old + years == factor * (q + years)])
    if found := re.search(r"they have (\d+) heads and (\d+) legs\. How many (hens|rabbits)", text):
        heads, legs = int(found[1]), int(found[2])
        hens = _only([h for h in range(heads + 1) if sum([2] * h) + sum([4] * (heads - h)) == legs])
        return hens if found[3] == "hens" else heads - hens
    if "A ticket for an adult costs" in text:
        more, adults, children, total = numbers(text)
        return _only([c for c in range(1, total) if adults * (c + more) + children * c == total])
    if "An empty tank holds" in text:
        volume, inflow, leak = numbers(text)
        level = minutes = 0
        while level < volume:
            level, minutes = level + inflow - leak, minutes + 1
        return minutes
    return None


def _only(fits: list[int]) -> int:
    (found,) = fits
    return found


def _asked(text: str, found, fits: list[tuple[int, int]]) -> int:
    ((one, other),) = fits
    who = re.search(rf"How many \w+ does ({_NAME}) have\?$", text)[1]
    return {found[1]: one, found[2]: other}[who]


_PLACES = ("first", "second", "third", "fourth", "fifth", "sixth")
_PLACE = "|".join(_PLACES)
_BEFORE = (
    rf"({_NAME}) (?:finishes before|stands somewhere ahead of|arrives earlier than|"
    rf"sits somewhere to the left of) ({_NAME})"
)
_AFTER = (
    rf"({_NAME}) (?:finishes after|stands somewhere behind|arrives later than|"
    rf"sits somewhere to the right of) ({_NAME})"
)
_NEXT = (
    rf"({_NAME}) (?:is the next to finish after|stands directly behind|is the next guest to arrive after|"
    rf"sits directly to the right of) ({_NAME})"
)
_GAP = rf"Exactly one \w+ (?:finishes|stands|arrives|sits) between ({_NAME}) and ({_NAME})"
_WHERE = rf"({_PLACE})(?: in the queue| guest to arrive| place)?"
_AT = rf"({_NAME}) (?:finishes|is|is the|sits in the) {_WHERE}"
_NOT_AT = rf"({_NAME}) (?:does not finish|is not|is not the|does not sit in the) {_WHERE}"


def holds(clue: str, place: dict[str, int]) -> bool:
    if found := re.fullmatch(_BEFORE, clue):
        return place[found[1]] < place[found[2]]
    if found := re.fullmatch(_AFTER, clue):
        return place[found[1]] > place[found[2]]
    if found := re.fullmatch(_NEXT, clue):
        return place[found[1]] == place[found[2]] + 1
    if found := re.fullmatch(_GAP, clue):
        return abs(place[found[1]] - place[found[2]]) == 2
    if found := re.fullmatch(_NOT_AT, clue):
        return _PLACES[place[found[1]]] != found[2]
    if found := re.fullmatch(_AT, clue):
        return _PLACES[place[found[1]]] == found[2]
    raise NotUnderstood(clue)


def solutions(text: str) -> list[tuple[str, ...]]:
    """Every order that agrees with every clue."""
    opening, *clues, _ = re.split(r"(?<=[.?]) ", text)
    names = re.findall(_NAME, opening.partition(": ")[2])
    orders = ({name: at for at, name in enumerate(order)} for order in permutations(names))
    told = [clue.rstrip(".") for clue in clues]
    return [tuple(sorted(o, key=o.__getitem__)) for o in orders if all(holds(clue, o) for clue in told)]


def rows(text: str) -> str | None:
    asked = re.search(rf"Who (?:finishes|is|is the|sits in the) ({_PLACE})", text)
    if not asked:
        return None
    (order,) = solutions(text)
    return order[_PLACES.index(asked[1])]


_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
_DATE = r"(\d+) ([A-Z][a-z]+) (\d{4})"


def month_length(month: int, year: int) -> int:
    leap = (year % 4 == 0 and year % 100 != 0) or year % 400 == 0
    return (31, 29 if leap else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)[month]


def days_since(day: int, month: int, year: int) -> int:
    """Days since 1 January 1900, which was a Monday: one by one, month by month."""
    total = day - 1
    for y in range(1900, year):
        total += sum(month_length(m, y) for m in range(12))
    return total + sum(month_length(m, year) for m in range(month))


def read_date(found) -> int:
    day, month, year = found
    return days_since(int(day), _MONTHS.index(month), int(year))


def written(count: int) -> str:
    year = 1900
    while count >= (length := sum(month_length(m, year) for m in range(12))):
        count, year = count - length, year + 1
    month = 0
    while count >= month_length(month, year):
        count, month = count - month_length(month, year), month + 1
    return f"{year:04d}-{month + 1:02d}-{count + 1:02d}"


def dates(text: str) -> str | int | None:
    told = [read_date(found) for found in re.findall(_DATE, text)]
    if found := re.search(r"Today is (\w+)\. What day of the week (will it be in|was it) (\d+) days", text):
        step = 1 if found[2].startswith("will") else -1
        at = _DAYS.index(found[1])
        for _ in range(int(found[3])):
            at = (at + step) % 7
        return _DAYS[at]
    if found := re.search(r"How many days does (\w+) (\d+) have", text):
        return month_length(_MONTHS.index(found[1]), int(found[2]))
    if found := re.search(r"in (\d+) weeks and (\d+) days?\?", text):
        return len([d for _ in range(int(found[1])) for d in _DAYS]) + int(found[2])
    if text.startswith("How many days after"):
        return told[1] - told[0]
    if found := re.search(r"Which date is (\d+) days (after|before)", text):
        return written(told[0] + (int(found[1]) if found[2] == "after" else -int(found[1])))
    if found := re.search(r" is a (\w+)\. What day of the week is", text):
        assert _DAYS[told[0] % 7] == found[1], text  # what the question states must be true
        return _DAYS[(_DAYS.index(found[1]) + told[1] - told[0]) % 7]
    if text.startswith("What day of the week is"):
        return _DAYS[told[0] % 7]
    if found := re.search(r"does the (\w+) (\w+) of (\w+) (\d+) fall", text):
        days = _in_month(_DAYS.index(found[2]), _MONTHS.index(found[3]), int(found[4]))
        return days[("first", "second", "third", "fourth").index(found[1])]
    if found := re.search(r"How many (\w+)s does (\w+) (\d{4}) have", text):
        return len(_in_month(_DAYS.index(found[1]), _MONTHS.index(found[2]), int(found[3])))
    if found := re.search(r"meets on every (\w+) and every (\w+) from", text):
        return sum(_DAYS[day % 7] in (found[1], found[2]) for day in range(told[0], told[1] + 1))
    return None


def _in_month(weekday: int, month: int, year: int) -> list[int]:
    days = range(1, month_length(month, year) + 1)
    return [day for day in days if days_since(day, month, year) % 7 == weekday]


def counts(text: str) -> int | None:
    quoted = re.findall(r'"([^"]+)"', text)
    if text.startswith("How many times does the letter"):
        return len(quoted[1].split(quoted[0])) - 1
    if text.startswith("How many letters does the word"):
        return len([*quoted[0]])
    if text.startswith("How many vowels"):
        return len(re.findall(r"[aeiou]", quoted[0]))
    if "contain the letter" in text:
        words = text.rstrip("?").rpartition(": ")[2].split(", ")
        return len([w for w in words if w.count(quoted[0]) > 0 and w.count(quoted[1]) == 0])
    if "the same letter twice in a row" in text:
        words = text.rstrip("?").rpartition(": ")[2].split(", ")
        return len([w for w in words if re.search(r"(.)\1", w) and len(w) >= 7])
    things = re.findall(r"\ban? ([a-z]+(?: [a-z]+)?)(?=[,.])", text)
    if found := re.search(r"How many (\w+) are on the shelf", text):
        return sum(_plural(thing) == found[1] for thing in things)
    if found := re.search(r"How many (\w+) things are in the drawer", text):
        return sum(thing.startswith(found[1] + " ") for thing in things)
    if found := re.search(r"How many (\w+) of any colour", text):
        return sum(_plural(thing.split()[1]) == found[1] for thing in things)
    if found := re.search(r"buys every (\w+) thing in the shop and every (\w+)\.", text):
        return len([t for t in things if found[1] in t.split() or found[2] in t.split()])
    return None


def _plural(noun: str) -> str:
    return noun + "s"
