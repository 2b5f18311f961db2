"""What happens to windows when a request is held, settled or overdue. Pure: windows in, the same windows changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from symposia.core.errors import InvalidInput
from symposia.core.served import Charged, Field

from . import Charge, Crossing, Held, Lease, Refusal, Settlement, Standing
from .window import TICKS, Window, shape, ticks

Pool = tuple[str, Field]
IDLE = 3600 * TICKS
"""How long what is over is remembered, in ticks: longer than anybody takes to ask about it."""


def made(charge: Charge, now: int) -> Window:
    """A window nobody has drawn on."""
    return Window([shape(charge, now)], now)


def key(charge: Charge) -> Pool:
    """What a window is known by."""
    return charge.pool, charge.field


def granted(name: str, charges: tuple[Charge, ...], now: int, ttl: int) -> Lease:
    """A lease from now on, for so many ticks."""
    return Lease(id=name, charges=charges, admitted_s=now / TICKS, expires_s=(now + ttl) / TICKS)


def hold(windows: Sequence[Window], lease: Lease, now: int, *, hard: bool) -> Held | Refusal:
    """Hold every charge of `lease`, admitted `now`, or refuse; `windows` are those of its charges, none ahead of it."""
    pairs = list(zip(windows, lease.charges, strict=True))
    over: list[tuple[Window, Charge]] = []
    for window, charge in pairs:
        window.meet(charge, now)
        if window.used + window.reserved + charge.amount > charge.limit:
            over.append((window, charge))
    if over and hard:
        return _refused(over, pairs, now)
    stood = [window.standing(charge) for window, charge in over] if over else ()
    standings: list[Standing] = []
    crossings: list[Crossing] = []
    for window, charge in pairs:
        armed, standing = window.armed, window.hold(charge)
        standings.append(standing)
        if armed and not window.armed:
            crossings.append(Crossing(standing=standing, fraction=charge.soft))
    return Held(lease=lease, standings=tuple(standings), crossings=tuple(crossings), over=tuple(stood))


def settle(
    windows: Sequence[Window | None], lease: Lease, now: int, *, tokens: int, requests: int, late: bool
) -> Settlement:
    """Turn what was reserved into what was used; after it was returned (`late`) add that. A window may be gone."""
    admitted, overrun = ticks(lease.admitted_s), 0
    amounts: list[Charged] = []
    crossings: list[Crossing] = []
    for window, charge in zip(windows, lease.charges, strict=True):
        used = tokens if charge.field == "tokens" else requests
        if used > charge.amount:
            overrun = max(overrun, used - charge.amount)
        if window is None:
            amounts.append(empty(charge).charged(used))
            continue
        if now > window.latest:
            window.leave(now)
        armed = window.armed
        window.replace(admitted, 0 if late else charge.amount, used)
        amounts.append(
            Charged(
                pool=charge.pool,
                field=charge.field,
                amount=used,
                used=window.used,
                reserved=window.reserved,
                limit=window.limit,
            )
        )
        if armed and not window.armed:
            crossings.append(Crossing(standing=window.standing(charge), fraction=charge.soft))
    return Settlement(
        outcome="late" if late else "settled" if tokens or requests else "released",
        amounts=tuple(amounts),
        crossings=tuple(crossings),
        overrun=overrun,
    )


def again(windows: Sequence[Window | None], lease: Lease, now: int) -> Settlement:
    """The answer to a second settlement: how things stand."""
    standings = looked(windows, lease.charges, now)
    return Settlement(
        outcome="settled", amounts=tuple([standing.charged(0) for standing in standings]), again=True
    )


def give_back(windows: Sequence[Window | None], lease: Lease, now: int) -> None:
    """Return what an overdue lease reserved."""
    settle(windows, lease, now, tokens=0, requests=0, late=False)


def looked(windows: Sequence[Window | None], charges: Sequence[Charge], now: int) -> tuple[Standing, ...]:
    """How the pools of some charges stand under the limits the charges bring."""
    found = []
    for window, charge in zip(windows, charges, strict=True):
        if window is None:
            found.append(empty(charge))
            continue
        window.leave(max(now, window.latest))
        found.append(window.standing(charge))
    return tuple(found)


def alive(windows: Mapping[Pool, Window], now: int) -> tuple[Standing, ...]:
    """How all pools stand that hold anything, sorted."""
    found = []
    for (pool, field), window in sorted(windows.items()):
        window.leave(max(now, window.latest))
        if window.used or window.reserved:
            found.append(window.standing(Charge(pool=pool, field=field, amount=0, limit=window.limit)))
    return tuple(found)


def empty(charge: Charge) -> Standing:
    """How a pool stands that nobody has drawn on."""
    return Standing(
        pool=charge.pool, field=charge.field, used=0, reserved=0, limit=charge.limit, kind=charge.kind
    )


def remembered(lease: Lease) -> int:
    """Until when a lease that was returned can still be settled: an hour past its time and its windows."""
    admitted = ticks(lease.admitted_s)
    spans = [shape(charge, admitted) for charge in lease.charges]
    left = max((admitted // span.delta + span.buckets + 1) * span.delta for span in spans)
    return max(left, ticks(lease.expires_s)) + IDLE


def forgotten(window: Window) -> int:
    """From when nothing can depend on a window any more."""
    return window.latest + (window.buckets + 1) * window.delta + IDLE


def distinct(charges: tuple[Charge, ...]) -> None:
    """`InvalidInput` if a pool is charged twice."""
    if len({key(charge) for charge in charges}) < len(charges):
        named = ", ".join(f"{charge.pool} {charge.field}" for charge in charges)
        raise InvalidInput(f"expected each pool and field once in a reservation; got {named}")


def _refused(
    over: Sequence[tuple[Window, Charge]], pairs: Sequence[tuple[Window, Charge]], now: int
) -> Refusal:
    """The charge that fits last says when; one that never fits says so."""
    waits = [(window.fits_at(charge.amount), window, charge) for window, charge in over]
    at, window, charge = max(waits, key=lambda wait: (wait[0] is None, wait[0] or 0))
    return Refusal(
        charge=charge,
        standing=window.standing(charge),
        retry_after_s=None if at is None else (at - now) / TICKS,
        standings=tuple([w.standing(c) for w, c in pairs]),
    )
