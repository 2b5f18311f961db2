"""One pool's window: what was admitted in which bucket, and until when it counts. Integer ticks, no clock, no I/O.

A bucket is δ = ceil(window/buckets) ticks; a charge of bucket i counts until (i + buckets + 1)·δ. So in every real
interval of one window no more is admitted than fits, and nothing is held more than δ too long.
"""

from __future__ import annotations

from math import ceil
from typing import NamedTuple

from symposia.core.served import Field

from . import Charge, Standing

TICKS = 1_000_000
"""Ticks a second: what PostgreSQL and Redis count in."""

KEPT_SPANS = 8


def ticks(seconds: float) -> int:
    """Seconds in whole ticks."""
    return round(seconds * TICKS)


class Span(NamedTuple):
    """A shape of the window, and since when: buckets of `delta` ticks, so many `buckets` a window."""

    since: int
    delta: int
    buckets: int


class Window:
    """What a pool holds of one field. Every method that takes `now` wants it no smaller than the last time.

    `spans` are the shapes it has had, the last in force. `cells` are [used, reserved] by bucket, oldest first.
    """

    __slots__ = ("armed", "cells", "kind", "latest", "limit", "line", "reserved", "spans", "used")

    def __init__(self, charge: Charge, now: int) -> None:
        self.spans = [shape(charge, now)]
        self.latest = now
        self.armed = True
        self.cells: dict[int, list[int]] = {}
        self.used = self.reserved = 0
        self.limit, self.line, self.kind = charge.limit, line(charge), charge.kind

    def meet(self, charge: Charge, now: int) -> None:
        """Move to `now` under the limits a charge brings. A window of another shape starts with all that is held."""
        self.leave(now)
        self.limit, self.kind, self.line = charge.limit, charge.kind, line(charge)
        span = shape(charge, now)
        if span[1:] != self.spans[-1][1:]:
            self.spans = [*self.spans[1 - KEPT_SPANS :], span]
            self.cells = {now // span.delta: [self.used, self.reserved]} if self.cells else {}
        self._rearm()

    def leave(self, now: int) -> None:
        """Move to `now`: what no longer counts is gone."""
        self.latest = now
        _, delta, count = self.spans[-1]
        oldest = now // delta - count
        while self.cells:
            index = next(iter(self.cells))
            if index >= oldest:
                break
            used, reserved = self.cells.pop(index)
            self.used -= used
            self.reserved -= reserved
        self._rearm()

    def fits(self, amount: int) -> bool:
        """Whether so much more is within the limit."""
        return self.used + self.reserved + amount <= self.limit

    def fits_at(self, amount: int) -> int | None:
        """The first boundary of a bucket from which so much more fits if nobody comes; None: it never fits."""
        if amount > self.limit:
            return None
        _, delta, count = self.spans[-1]
        excess = self.used + self.reserved + amount - self.limit
        at = self.latest
        for index, (used, reserved) in self.cells.items():
            if excess <= 0:
                break
            excess -= used + reserved
            at = (index + count + 1) * delta
        return at

    def hold(self, amount: int) -> None:
        """Reserve, in the bucket of now."""
        cell = self.cells.setdefault(self.latest // self.spans[-1].delta, [0, 0])
        cell[1] += amount
        self.reserved += amount

    def replace(self, admitted: int, reserved: int, used: int) -> None:
        """Turn what was reserved at `admitted` into what was used, as far as that bucket still counts."""
        index = self._bucket(admitted)
        cell = None if index is None else self.cells.get(index)
        if cell is not None:
            cell[0] += used
            cell[1] -= reserved
            self.used += used
            self.reserved -= reserved
            self._rearm()

    def clear(self, now: int) -> None:
        """Empty it: what was admitted until now counts no more, whatever becomes of it."""
        _, delta, count = self.spans[-1]
        self.latest = now + 1
        self.spans = [Span(now + 1, delta, count)]
        self.cells, self.used, self.reserved, self.armed = {}, 0, 0, True

    def crosses(self) -> bool:
        """Whether the soft line has been reached; true once, until it has been below again."""
        reached = self.armed and self.used + self.reserved >= self.line
        self.armed = self.armed and not reached
        return reached

    def standing(self, pool: str, field: Field) -> Standing:
        """How it stands."""
        return Standing(
            pool=pool,
            field=field,
            used=self.used,
            reserved=self.reserved,
            limit=self.limit,
            kind=self.kind,
            resets_s=self._resets() / TICKS,
        )

    def _resets(self) -> int:
        _, delta, count = self.spans[-1]
        for index in reversed(self.cells):
            if any(self.cells[index]):
                return (index + count + 1) * delta - self.latest
        return 0

    def _rearm(self) -> None:
        if not self.armed and self.used + self.reserved < self.line:
            self.armed = True

    def _bucket(self, admitted: int) -> int | None:
        """Where a charge lies now: its own bucket, or that of the last change of shape it has lived through."""
        index: int | None = None
        before = self.spans[0]
        for span in self.spans:
            if span.since > admitted and index is not None:
                if span.since // before.delta > index + before.buckets:
                    return None
                index = span.since // span.delta
            elif span.since <= admitted:
                index = admitted // span.delta
            before = span
        return index


def shape(charge: Charge, now: int) -> Span:
    """The window a charge asks for."""
    return Span(now, max(1, -(-ticks(charge.window_s) // charge.buckets)), charge.buckets)


def line(charge: Charge) -> int:
    """The least whole number that reaches the soft line; rounding of `soft · limit` up to a millionth is forgiven."""
    return max(1, ceil(charge.soft * charge.limit - 1e-6))
