"""A budget ledger in Redis or Valkey: replicas, at the highest rate. One script an operation, all keys in one slot.

The scripts in `lua/` do what `window.py` and `pools.py` do; the same laws hold both to account.
"""

from __future__ import annotations

from functools import cache
from hashlib import sha1
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from symposia.core.clock import Clock
from symposia.core.served import Field

from . import Charge, Crossing, Held, Kind, Lease, LedgerUnreachable, Refusal, Settlement, Standing
from .pools import IDLE, distinct, empty, granted
from .resp import Connection, Refused
from .window import TICKS, line, shape, ticks

TAG = "{symposia:budget}"
PATIENCE_S = 5.0
"""Seconds a script may take before the ledger counts as unreachable."""

T = TypeVar("T")
_encoder = msgspec.msgpack.Encoder()


class _Stood(msgspec.Struct, array_like=True):
    used: int
    reserved: int
    limit: int
    kind: Kind
    resets: int

    def standing(self, pool: str, field: Field) -> Standing:
        return Standing(
            pool=pool,
            field=field,
            used=self.used,
            reserved=self.reserved,
            limit=self.limit,
            kind=self.kind,
            resets_s=self.resets / TICKS,
        )


class _Reserved(msgspec.Struct, array_like=True):
    """`which` charge was refused until `at`; -1: none was, or it never fits."""

    admitted: int
    which: int
    at: int
    after: list[_Stood]
    crossed: list[bool]
    stood: list[tuple[int, _Stood]]


class _Settled(msgspec.Struct, array_like=True):
    """`state`: 0, it was open; 1, it was returned overdue; 2, neither."""

    state: int
    after: list[_Stood | bool]
    crossed: list[bool]


class RedisLedger:
    """The ledger in a Redis database. Its time is the server's; `clock` replaces it in tests.

    Any operation may raise `LedgerUnreachable`: no answer within 5 seconds, or one that is an error.
    """

    def __init__(self, url: str, *, namespace: str = "", clock: Clock | None = None) -> None:
        self._clock = clock
        self._connection = Connection(url, patience_s=PATIENCE_S)
        self._prefix = f"{TAG}:{namespace}:" if namespace else f"{TAG}:"

    async def reserve(
        self, lease: str, charges: tuple[Charge, ...], *, ttl_s: float, hard: bool = True
    ) -> Held | Refusal:
        """As `Ledger.reserve`."""
        distinct(charges)
        ttl = ticks(ttl_s)
        spans = [shape(charge, 0) for charge in charges]
        kept = max((span.delta * (span.buckets + 2) for span in spans), default=0) + ttl + IDLE
        wanted = [
            (self._key(c.pool, c.field), c.amount, c.limit, line(c), c.kind, span.delta, span.buckets)
            for c, span in zip(charges, spans, strict=True)
        ]
        written = msgspec.json.encode(charges).decode()
        told = await self._run("reserve", _Reserved, lease, ttl, hard, wanted, written, kept // 1000 + 1)
        standings = _standings(charges, told.after)
        if told.which >= 0:
            charge = charges[told.which]
            return Refusal(
                charge=charge,
                standing=standings[told.which],
                retry_after_s=None if told.at < 0 else (told.at - told.admitted) / TICKS,
                standings=standings,
            )
        return Held(
            lease=granted(lease, charges, told.admitted, ttl),
            standings=standings,
            crossings=_crossings(charges, standings, told.crossed),
            over=tuple(stood.standing(charges[i].pool, charges[i].field) for i, stood in told.stood),
        )

    async def settle(self, lease: Lease, *, tokens: int, requests: int) -> Settlement:
        """As `Ledger.settle`."""
        used: dict[Field, int] = {"tokens": tokens, "requests": requests}
        held = [(self._key(c.pool, c.field), c.amount, used[c.field]) for c in lease.charges]
        told = await self._run("settle", _Settled, lease.id, ticks(lease.admitted_s), held)
        standings, again = _standings(lease.charges, told.after), told.state == 2 and bool(lease.charges)
        amounts = tuple([standing.charged(0 if again else used[standing.field]) for standing in standings])
        if again:
            return Settlement(outcome="settled", amounts=amounts, again=True)
        return Settlement(
            outcome="late" if told.state == 1 else "settled" if tokens or requests else "released",
            amounts=amounts,
            crossings=_crossings(lease.charges, standings, told.crossed),
            overrun=max([0, *(used[charge.field] - charge.amount for charge in lease.charges)]),
        )

    async def expire(self) -> tuple[Lease, ...]:
        """As `Ledger.expire`."""
        rows = await self._run("expire", list[tuple[str, int, int, str]])
        return tuple(
            Lease(
                id=name,
                charges=msgspec.json.decode(written, type=tuple[Charge, ...]),
                admitted_s=admitted / TICKS,
                expires_s=due / TICKS,
            )
            for name, admitted, due, written in rows
        )

    async def standings(self, pools: tuple[Charge, ...] = ()) -> tuple[Standing, ...]:
        """As `Ledger.standings`."""
        keys = [self._key(charge.pool, charge.field) for charge in pools]
        rows = await self._run("standings", list[tuple[str, _Stood | bool]], keys)
        if pools:
            return _standings(pools, [stood for _, stood in rows])
        found = []
        for key, stood in rows:
            field, _, pool = key.removeprefix(f"{self._prefix}pool:").partition(":")
            if isinstance(stood, _Stood) and (stood.used or stood.reserved):
                found.append(stood.standing(pool, "tokens" if field == "tokens" else "requests"))
        return tuple(sorted(found, key=lambda standing: (standing.pool, standing.field)))

    async def reset(self, pool: str) -> None:
        """As `Ledger.reset`."""
        await self._run("reset", bool, [self._key(pool, "tokens"), self._key(pool, "requests")])

    async def ping(self) -> None:
        """As `Ledger.ping`."""
        await self._run("standings", list[tuple[str, _Stood | bool]], [self._key("", "tokens")])

    async def aclose(self) -> None:
        """Close the connection."""
        await self._connection.aclose()

    def _key(self, pool: str, field: Field) -> str:
        return f"{self._prefix}pool:{field}:{pool}"

    async def _run(self, name: str, kind: type[T], *asked: object) -> T:
        """The answer of a script."""
        now = 0 if self._clock is None else ticks(self._clock.time())
        script, digest = _script(name)
        given = (b"1", self._prefix.encode(), _encoder.encode((now, *asked)))
        try:
            try:
                raw = await self._connection.call(b"EVALSHA", digest, *given)
            except Refused as refused:
                if refused.code != "NOSCRIPT":
                    raise
                raw = await self._connection.call(b"EVAL", script, *given)
        except (OSError, Refused) as error:
            raise LedgerUnreachable(f"budget ledger in Redis: {error}") from error
        assert isinstance(raw, bytes)  # every script ends in cmsgpack.pack
        form: Any = kind  # type[T] is hashable, which its stub does not say
        answer: T = _decoder(form).decode(raw)
        return answer


@cache
def _script(name: str) -> tuple[bytes, bytes]:
    folder = Path(__file__).parent / "lua"
    text = b"".join((folder / f"{part}.lua").read_bytes() for part in ("window", name))
    return text, sha1(text, usedforsecurity=False).hexdigest().encode()


@cache
def _decoder(kind: Any) -> msgspec.msgpack.Decoder[Any]:
    return msgspec.msgpack.Decoder(kind)


def _standings(
    charges: tuple[Charge, ...], after: list[_Stood] | list[_Stood | bool]
) -> tuple[Standing, ...]:
    return tuple(
        stood.standing(charge.pool, charge.field) if isinstance(stood, _Stood) else empty(charge)
        for charge, stood in zip(charges, after, strict=True)
    )


def _crossings(
    charges: tuple[Charge, ...], standings: tuple[Standing, ...], crossed: list[bool]
) -> tuple[Crossing, ...]:
    return tuple(
        Crossing(standing=standing, fraction=charge.soft)
        for charge, standing, each in zip(charges, standings, crossed or [False] * len(charges), strict=True)
        if each
    )
