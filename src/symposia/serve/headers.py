"""The headers of a reply: who answered, how long it took, what is left of the budget. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import lru_cache

from symposia.core.served import Field

from .address import Addressed
from .budget import Decision
from .call import Headers
from .ledger import Standing

_FIELDS: tuple[Field, ...] = ("requests", "tokens")
_NAMES = tuple(
    (field, b"x-ratelimit-limit-%b" % end, b"x-ratelimit-remaining-%b" % end, b"x-ratelimit-reset-%b" % end)
    for field, end in ((field, field.encode()) for field in _FIELDS)
)


def headers_of(
    request_id: str, taken_ms: float, found: Addressed | None, applied: str | None, fixed: Headers
) -> Headers:
    """What every reply has. `found` None: nothing was addressed."""
    headers = [
        *fixed,
        (b"x-request-id", request_id.encode()),
        (b"openai-processing-ms", b"%d" % taken_ms),
    ]
    if found is not None:
        headers += _steering(found.label, found.digest, found.arm, found.canary, applied or "false")
    return headers


def pool_headers(standings: Sequence[Standing]) -> Headers:
    """What is left of the tightest pool of requests, and of tokens."""
    headers: Headers = []
    for field, limit, remaining, reset in _NAMES:
        tightest = _tightest(standings, field)
        if tightest is not None:
            free = tightest.free
            headers += (
                (limit, b"%d" % tightest.limit),
                (remaining, b"%d" % free if free > 0 else b"0"),
                (reset, duration(tightest.resets_s).encode()),
            )
    return headers


def budget_headers(decision: Decision | None, asked_maximum: int) -> Headers:
    """Those of the pools a request holds; the warning past a soft line; what its output was shrunk to."""
    if decision is None or not decision.standings:
        return []
    headers = pool_headers(decision.standings)
    warned = _past_soft(decision)
    if warned:
        headers.append((b"x-steering-budget-warning", ", ".join(warned).encode("latin-1", "replace")))
    if decision.maximum < asked_maximum:
        headers.append((b"x-steering-max-tokens", b"%d" % decision.maximum))
    return headers


def fault_headers(pairs: Iterable[tuple[str, str]]) -> Headers:
    """A fault's own."""
    return [(name.encode(), value.encode("latin-1", "replace")) for name, value in pairs]


@lru_cache(maxsize=16)  # the tokens and the requests of one pool leave at the same moment
def duration(seconds: float) -> str:
    """A time as Go writes it: `6m0s`, `1h0m0s`, `1.5s`, `250ms`."""
    if seconds < 1:
        return f"{math.ceil(seconds * 1000)}ms" if seconds > 0 else "0s"
    minutes, ms = divmod(math.ceil(seconds * 1000), 60_000)
    shown = "%gs" % (ms / 1000)
    if minutes < 60:
        return f"{minutes}m{shown}" if minutes else shown
    return f"{minutes // 60}h{minutes % 60}m{shown}"


@lru_cache(maxsize=1024)  # few profiles answer most requests
def _steering(
    label: str, digest: str, arm: str, canary: str, applied: str
) -> tuple[tuple[bytes, bytes], ...]:
    return (
        (b"x-steering-profile", label.encode()),
        (b"x-steering-revision", digest.encode() or b"none"),
        (b"x-steering-arm", arm.encode()),
        (b"x-steering-canary", canary.encode() or b"none"),
        (b"x-steering-applied", applied.encode()),
    )


def _tightest(standings: Sequence[Standing], field: Field) -> Standing | None:
    found = None
    for standing in standings:
        if standing.field == field and (found is None or _share_free(standing) < _share_free(found)):
            found = standing
    return found


def _share_free(standing: Standing) -> float:
    return standing.free / standing.limit if standing.limit else 0.0


def _past_soft(decision: Decision) -> list[str]:
    warned: list[str] = []
    if decision.lease is None:
        return warned
    for charge, standing in zip(decision.lease.charges, decision.standings, strict=False):
        taken = standing.used + standing.reserved
        if taken >= charge.soft * charge.limit:
            warned.append(f"{standing.pool}; {standing.field}={taken}/{standing.limit}")
    return warned
