"""When a debate has said enough: pure functions of completed rounds, all capped by `max_rounds`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

from symposia.core.errors import InvalidInput, UnknownName

from .beliefs import STILL, argmax, beliefs_of, distance
from .reading import Round
from .rulings import ruling_of
from .values import Ruling

if TYPE_CHECKING:
    from .protocol import Debate

StopRule = Callable[["Sequence[Round]", "Debate"], "str | None"]
"""The reason to stop after these complete rounds, or None."""

H1, H0, ALPHA, BETA = 0.85, 0.40, 0.05, 0.05
AGREES, DIFFERS = math.log(H1 / H0), math.log((1 - H1) / (1 - H0))
UPPER, LOWER = math.log((1 - BETA) / ALPHA), math.log(BETA / (1 - ALPHA))
NAMED = ("captain", "fixed:R", "sprt", "belief")


def stop_reason(rounds: Sequence[Round], debate: Debate) -> str | None:
    """Why the debate ends after these rounds, its cap included; None if it goes on."""
    reason = stop_rule(debate.stop)(rounds, debate)
    if reason is not None:
        return reason
    return "max_rounds" if rounds[-1].number >= debate.max_rounds else None


@cache
def stop_rule(name: str) -> StopRule:
    """The rule of that name, or the function `pkg.mod:rule`; raises for what is neither."""
    known: dict[str, StopRule] = {"captain": _captain, "sprt": _sprt, "belief": _belief}
    if name in known:
        return known[name]
    head, colon, rest = name.partition(":")
    if head == "fixed":
        if not (rest.isascii() and rest.isdigit() and int(rest)):
            raise InvalidInput(f"stop rule {name!r}: expected fixed:R with R from 1 up, such as fixed:2")
        return _fixed(int(rest))
    if not colon:
        raise UnknownName("stop rule", name, (*NAMED, "pkg.mod:rule"))
    return _by_path(head, rest, name)


def sprt_sum(rounds: Sequence[Round]) -> float:
    """The sum of Wald's test over all rounds: every answer but one of the leading group agrees with it or differs."""
    total = 0.0
    for held in rounds:
        sizes = sorted((len(group) for group in held.groups), reverse=True)
        total += (sizes[0] - 1) * AGREES + sum(sizes[1:]) * DIFFERS
    return total


def _captain(rounds: Sequence[Round], debate: Debate) -> str | None:
    del debate
    latest = [ruling_of(held) for held in rounds[-2:]]
    if len(latest) == 2 and all(isinstance(r, Ruling) and r.fallback == "captain_error" for r in latest):
        return "captain_lost"
    ruling = latest[-1]
    return "consensus" if isinstance(ruling, Ruling) and ruling.consensus else None


def _fixed(rounds: int) -> StopRule:
    def rule(so_far: Sequence[Round], debate: Debate) -> str | None:
        del debate
        return "fixed" if so_far[-1].number >= rounds else None

    return rule


def _sprt(rounds: Sequence[Round], debate: Debate) -> str | None:
    del debate
    total = sprt_sum(rounds)
    if total >= UPPER:
        return "sprt_agree"
    return "sprt_split" if total <= LOWER else None


def _belief(rounds: Sequence[Round], debate: Debate) -> str | None:
    if len(rounds) < 2:
        return None
    before = beliefs_of(rounds[-2], debate, rounds[:-1])
    after = beliefs_of(rounds[-1], debate, rounds)
    if not after or set(before) != set(after) or len(after) < len(rounds[-1].answers):
        return None
    still = all(
        distance(before[seat], after[seat]) <= STILL and argmax(before[seat]) == argmax(after[seat])
        for seat in after
    )
    return "belief_stable" if still else None


def _by_path(module: str, name: str, path: str) -> StopRule:
    try:
        found = vars(import_module(module)).get(name)
    except ImportError as error:
        raise InvalidInput(
            f"stop rule {path!r}: expected {', '.join(NAMED)} or pkg.mod:rule; {error}"
        ) from error
    if not callable(found):
        raise InvalidInput(f"stop rule {path!r}: {module} has no function {name!r}")
    rule: StopRule = found
    return rule
