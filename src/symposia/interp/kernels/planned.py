"""What a step wants at the residual taps, asked before its forward: a captured graph has to be told in advance.

Visits afterwards read and check; what the graph writes they leave alone.
"""

from __future__ import annotations

from collections.abc import Iterable

from symposia.interp.apply import StepWork
from symposia.interp.bank import Bank
from symposia.interp.plan import Point
from symposia.interp.write import Code


def why_not(work: StepWork, bank: Bank, registers: int) -> str | None:
    """Why a graph cannot do this work; None if it can. Whether it has the sites is not asked here."""
    if work.points and work.kit.bank is not bank:
        return "another bank"
    if work.registers >= registers:
        return "gates"
    if work.deciding:
        return "a gate decides"
    for site in work.layout.sites.values():
        if site.code is not None and any(group.before for group in site.groups):
            return "captures before writes"
    return None


def reading(work: StepWork, points: Iterable[Point]) -> frozenset[Point]:
    """Those of the points where something is captured."""
    return frozenset(point for point in points if work.layout.sites[point].groups)


def codes(work: StepWork, points: Iterable[Point]) -> dict[Point, Code]:
    """What is written at some points."""
    found = ((point, work.layout.sites[point].code) for point in points)
    return {point: code for point, code in found if code is not None}
