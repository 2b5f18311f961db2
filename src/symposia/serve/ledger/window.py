"""One pool's window: what was admitted in which bucket, and until when it counts. Integer ticks, no clock, no I/O.

A bucket is δ = ceil(window/buckets) ticks; a charge of bucket i counts until (i + buckets + 1)·δ. So in every real
interval of one window no more is admitted than fits, and nothing is held more than δ too long.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import ceil
from typing import NamedTuple

from . import Charge, Kind, Standing

TICKS = 1_000_000
"""Ticks a second: what PostgreSQL and Redis count in."""

KEPT_SPANS = 8
NEVER = 1 << 62


def ticks(seconds: float) -> int:
    """Seconds in whole ticks."""
    return round(seconds * TICKS)


class Span(NamedTuple):
    """A shape of the window, and since when: buckets of `delta` ticks, so many `buckets` a window."""

    since: int
    delta: int
    buckets: int


class Window:
    """What a pool holds of one field. Time does not go back: every `now` is at least `latest`.

    `spans` are the shapes it has had, the last in force, `since` then. `cells` are [used, reserved] by bucket, oldest
    first; the oldest leaves at `until`. `armed`: the soft line has not been reached since the level was below it.
    """

    __slots__ = (
        "armed",
        "buckets",
        "cells",
        "delta",
        "kind",
        "latest",
        "limit",
        "line",
        "met",
        "reserved",
        "since",
        "spans",
        "until",
        "used",
    )

    def __init__(self, spans: list[Span], latest: int) -> None:
        self.spans, self.latest = spans, latest
        self.since, self.delta, self.buckets = spans[-1]
        self.cells: dict[int, list[int]] = {}
        self.used = self.reserved = self.limit = 0
        self.line, self.armed, self.until = 1, True, NEVER
        self.kind: Kind = "budget"
        self.met: tuple[int, float, int, float, Kind] | None = None

    def fill(self, cells: Iterable[tuple[int, int, int]]) -> None:
        """Put back what was held: (bucket, used, reserved), oldest first."""
        for index, used, reserved in cells:
            self.cells[index] = [used, reserved]
            self.used += used
            self.reserved += reserved
        self._look_ahead()

    def meet(self, charge: Charge, now: int) -> None:
        """Move to `now` under the limits a charge brings. A window of another shape starts with all that is held."""
        self.latest = now
        if now >= self.until:
            self._drop(now)
        terms = (charge.limit, charge.window_s, charge.buckets, charge.soft, charge.kind)
        if terms != self.met:
            self._accept(charge, now)
            self.met = terms

    def leave(self, now: int) -> None:
        """Move to `now`: what no longer counts is gone."""
        self.latest = now
        if now >= self.until:
            self._drop(now)

    def _accept(self, charge: Charge, now: int) -> None:
        self.kind, self.limit, self.line = charge.kind, charge.limit, line(charge)
        span = shape(charge, now)
        if span[1:] != (self.delta, self.buckets):
            self.spans = [*self.spans[1 - KEPT_SPANS :], span]
            self.since, self.delta, self.buckets = span
            self.cells = {now // span.delta: [self.used, self.reserved]} if self.cells else {}
            self._look_ahead()
        self._rearm()

    def _drop(self, now: int) -> None:
        oldest = now // self.delta - self.buckets
        for index in [index for index in self.cells if index < oldest]:
            used, reserved = self.cells.pop(index)
            self.used -= used
            self.reserved -= reserved
        self._look_ahead()
        self._rearm()

    def fits_at(self, amount: int) -> int | None:
        """The first boundary of a bucket from which so much more fits if nobody comes; None: it never fits."""
        if amount > self.limit:
            return None
        excess, at = self.used + self.reserved + amount - self.limit, self.latest
        for index, (used, reserved) in self.cells.items():
            if excess <= 0:
                break
            excess -= used + reserved
            at = (index + self.buckets + 1) * self.delta
        return at

    def hold(self, charge: Charge) -> Standing:
        """Reserve, in the bucket of now; how it stands then. If it is no longer `armed`, that reached the soft line."""
        amount, index = charge.amount, self.latest // self.delta
        cell = self.cells.get(index)
        if cell is None:
            self.cells[index] = [0, amount]
            if len(self.cells) == 1:
                self._look_ahead()
        else:
            cell[1] += amount
        self.reserved += amount
        if self.used + self.reserved >= self.line:
            self.armed = False
        return self._standing(charge, index) if amount else self.standing(charge)

    def replace(self, admitted: int, reserved: int, used: int) -> None:
        """Turn what was reserved at `admitted` into what was used, as far as that bucket still counts.

        If it is no longer `armed`, that reached the soft line.
        """
        index = admitted // self.delta if admitted >= self.since else self._bucket(admitted)
        cell = self.cells.get(index)
        if cell is not None:
            cell[0] += used
            cell[1] -= reserved
            self.used += used
            self.reserved -= reserved
            self.armed = self.used + self.reserved < self.line

    def clear(self, now: int) -> None:
        """Empty it: what was admitted until now counts no more, whatever becomes of it."""
        self.latest = now + 1
        self.since = self.latest
        self.spans = [Span(self.since, self.delta, self.buckets)]
        self.cells, self.used, self.reserved = {}, 0, 0
        self.armed, self.until = True, NEVER

    def standing(self, of: Charge) -> Standing:
        """How it stands; `of` a charge with its name."""
        filled = (index for index in reversed(self.cells) if any(self.cells[index]))
        return self._standing(of, next(filled, None))

    def _standing(self, of: Charge, newest: int | None) -> Standing:
        """How it stands, with its `newest` bucket that is not empty at hand."""
        resets = 0 if newest is None else (newest + self.buckets + 1) * self.delta - self.latest
        return Standing(
            pool=of.pool,
            field=of.field,
            used=self.used,
            reserved=self.reserved,
            limit=self.limit,
            kind=self.kind,
            resets_s=resets / TICKS,
        )

    def _rearm(self) -> None:
        if self.used + self.reserved < self.line:
            self.armed = True

    def _look_ahead(self) -> None:
        self.until = (next(iter(self.cells)) + self.buckets + 1) * self.delta if self.cells else NEVER

    def _bucket(self, admitted: int) -> int:
        """Where a charge lies now: its own bucket, or that of the last change of shape it has lived through.

        -1, a bucket nobody has, if it left, or came before all that the window remembers.
        """
        found, before = -1, self.spans[0]
        for span in self.spans:
            if span.since <= admitted:
                found = admitted // span.delta
            elif found >= 0:
                if span.since // before.delta > found + before.buckets:
                    return -1
                found = span.since // span.delta
            before = span
        return found


def shape(charge: Charge, now: int) -> Span:
    """The window a charge asks for."""
    return Span(now, max(1, -(-ticks(charge.window_s) // charge.buckets)), charge.buckets)


def line(charge: Charge) -> int:
    """The least whole number that reaches the soft line; rounding of `soft · limit` up to a millionth is forgiven."""
    return max(1, ceil(charge.soft * charge.limit - 1e-6))
