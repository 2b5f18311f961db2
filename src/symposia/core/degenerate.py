"""Text that is no text: nothing said, or the same said over and over. Pure; reads units, knows no model.

A loop: for some period p <= `PERIOD` the units of the last `WINDOW` equal the unit p before, in a given share of them
and at least `LEAST` times. Units are token ids, or words. Templated lists reach a share of 0.6, so live traffic is
judged by `LIVE`; `OFFLINE` is for text that somebody looks at.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Literal

PERIOD, WINDOW, LEAST = 32, 128, 20
OFFLINE, LIVE = 0.5, 0.75
Degenerate = Literal["empty", "loop"]


def degenerate(
    text: str, units: Sequence[Hashable], *, share: float = OFFLINE, called: bool = False
) -> Degenerate | None:
    """What is wrong with a reply, if anything. `called`: it called a tool, so it may be without words."""
    if empty(text) and not called:
        return "empty"
    return None if period(units, share) is None else "loop"


def empty(text: str) -> bool:
    """Whether there is no letter and no digit."""
    for character in text:  # noqa: SIM110 - asked of every reply; the first character answers, and a generator costs more
        if character.isalnum():
            return False
    return True


def period(units: Sequence[Hashable], share: float = OFFLINE) -> int | None:
    """The shortest period of a loop at the end of the units; None without one."""
    if len(units) <= LEAST:  # fewer pairs than a loop has
        return None
    window = min(len(units), WINDOW)
    enough = max(LEAST, share * window)
    seen = units[-(window + PERIOD) :]
    if len(seen) - len(set(seen)) < enough:  # every unit that equals an earlier one is one fewer that differs
        return None
    for p in range(1, min(PERIOD, len(units) - 1) + 1):
        first = max(len(units) - window, p)
        if sum(units[i] == units[i - p] for i in range(first, len(units))) >= enough:
            return p
    return None
