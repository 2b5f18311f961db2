"""Dates and weekdays of the Gregorian calendar.

Level 1: steps within a fortnight, lengths of months. Level 2: from date to date within a year. Level 3: which weekday a
date has, and where weekdays fall in a month.
"""

from __future__ import annotations

import datetime as dt
from calendar import monthrange
from random import Random

from .drawn import Drawn, choice, number

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_NTH = ("first", "second", "third", "fourth")
_DAY = dt.timedelta(days=1)


def calendar(random: Random, level: int) -> Drawn:
    """A question of the level."""
    return random.choice({1: _NEAR, 2: _WITHIN, 3: _ANYWHERE}[level])(random)


def _date(random: Random, first: int, last: int) -> dt.date:
    return dt.date(random.randint(first, last), 1, 1) + random.randint(0, 364) * _DAY


def _told(date: dt.date) -> str:
    return f"{date.day} {MONTHS[date.month - 1]} {date.year}"


def _weekday(question: str, date: dt.date) -> Drawn:
    return choice(question, WEEKDAYS, WEEKDAYS[date.weekday()])


def _ahead(random: Random) -> Drawn:
    today, days = random.randrange(7), random.randint(2, 13)
    question = f"Today is {WEEKDAYS[today]}. What day of the week will it be in {days} days?"
    return choice(question, WEEKDAYS, WEEKDAYS[(today + days) % 7])


def _ago(random: Random) -> Drawn:
    today, days = random.randrange(7), random.randint(2, 13)
    question = f"Today is {WEEKDAYS[today]}. What day of the week was it {days} days ago?"
    return choice(question, WEEKDAYS, WEEKDAYS[(today - days) % 7])


def _length(random: Random) -> Drawn:
    year, month = random.randint(1990, 2060), random.randint(1, 12)
    return number(f"How many days does {MONTHS[month - 1]} {year} have?", monthrange(year, month)[1])


def _weeks(random: Random) -> Drawn:
    weeks, days = random.randint(2, 9), random.randint(1, 6)
    plural = "day" if days == 1 else "days"
    return number(f"How many days are there in {weeks} weeks and {days} {plural}?", 7 * weeks + days)


def _between(random: Random) -> Drawn:
    year = random.randint(2001, 2060)
    start = dt.date(year, 1, 1) + random.randint(0, 200) * _DAY
    days = random.randint(20, 160)
    return number(
        f"How many days after {_told(start)} is {_told(start + days * _DAY)}? "
        "The day right after a date counts as one day after it.",
        days,
    )


def _later(random: Random) -> Drawn:
    start, days = _date(random, 2001, 2060), random.randint(15, 120)
    question = f"Which date is {days} days after {_told(start)}? Write it as YYYY-MM-DD."
    return Drawn(question, "text", (start + days * _DAY).isoformat())


def _earlier(random: Random) -> Drawn:
    end, days = _date(random, 2001, 2060), random.randint(15, 120)
    question = f"Which date is {days} days before {_told(end)}? Write it as YYYY-MM-DD."
    return Drawn(question, "text", (end - days * _DAY).isoformat())


def _same_year(random: Random) -> Drawn:
    year = random.randint(2001, 2060)
    known = dt.date(year, 1, 1) + random.randint(0, 180) * _DAY
    asked = known + random.randint(15, 180) * _DAY
    given = WEEKDAYS[known.weekday()]
    return _weekday(f"{_told(known)} is a {given}. What day of the week is {_told(asked)}?", asked)


def _which(random: Random) -> Drawn:
    date = _date(random, 1901, 2099)
    return _weekday(f"What day of the week is {_told(date)} in the Gregorian calendar?", date)


def _nth(random: Random) -> Drawn:
    year, month, weekday, n = (
        random.randint(2001, 2060),
        random.randint(1, 12),
        random.randrange(7),
        random.randrange(4),
    )
    first = dt.date(year, month, 1)
    day = 1 + (weekday - first.weekday()) % 7 + 7 * n
    return number(
        f"On which day of the month does the {_NTH[n]} {WEEKDAYS[weekday]} of {MONTHS[month - 1]} {year} fall?",
        day,
    )


def _how_many(random: Random) -> Drawn:
    year, month, weekday = random.randint(2001, 2060), random.randint(1, 12), random.randrange(7)
    first, length = monthrange(year, month)
    count = sum((first + day) % 7 == weekday for day in range(length))
    return number(f"How many {WEEKDAYS[weekday]}s does {MONTHS[month - 1]} {year} have?", count)


def _course(random: Random) -> Drawn:
    start = _date(random, 2001, 2060)
    one, other = sorted(random.sample(range(7), 2))
    span = random.randint(24, 75)
    met = sum((start + day * _DAY).weekday() in (one, other) for day in range(span + 1))
    return number(
        f"A course meets on every {WEEKDAYS[one]} and every {WEEKDAYS[other]} from {_told(start)} to "
        f"{_told(start + span * _DAY)}, both dates included. How often does it meet?",
        met,
    )


_NEAR = (_ahead, _ago, _length, _weeks)
_WITHIN = (_between, _later, _earlier, _same_year)
_ANYWHERE = (_which, _nth, _how_many, _course)
