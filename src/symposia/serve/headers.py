"""The headers of a reply: who answered, how long it took, what is left of the budget. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

from .address import Addressed
from .budget import Decision
from .call import Headers
from .ledger import Standing

_FIELDS = ("requests", "tokens")


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
        headers += [
            (b"x-steering-profile", found.label.encode()),
            (b"x-steering-revision", found.digest.encode() or b"none"),
            (b"x-steering-arm", found.arm.encode()),
            (b"x-steering-canary", found.canary.encode() or b"none"),
        ]
        headers.append((b"x-steering-applied", (applied or "false").encode()))
    return headers


def pool_headers(standings: Sequence[Standing]) -> Headers:
    """What is left of the tightest pool of requests, and of tokens."""
    headers: Headers = []
    for field in _FIELDS if standings else ():
        held = [standing for standing in standings if standing.field == field]
        if held:
            headers += _limit_headers(field, min(held, key=_share_free))
    return headers


def budget_headers(decision: Decision | None, asked_maximum: int) -> Headers:
    """Those of the pools a request holds; the warning past a soft line; what its output was shrunk to."""
    if decision is None or not decision.standings:
        return []
    headers = pool_headers(decision.standings)
    warned = list(_past_soft(decision))
    if warned:
        headers.append((b"x-steering-budget-warning", ", ".join(warned).encode("latin-1", "replace")))
    if decision.maximum < asked_maximum:
        headers.append((b"x-steering-max-tokens", b"%d" % decision.maximum))
    return headers


def fault_headers(pairs: Iterable[tuple[str, str]]) -> Headers:
    """A fault's own."""
    return [(name.encode(), value.encode("latin-1", "replace")) for name, value in pairs]


def duration(seconds: float) -> str:
    """A time as Go writes it: `6m0s`, `1h0m0s`, `1.5s`, `250ms`."""
    if seconds < 1:
        return f"{math.ceil(seconds * 1000)}ms" if seconds > 0 else "0s"
    whole = math.ceil(seconds * 1000) / 1000
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(int(minutes), 60)
    shown = f"{rest:.3f}".rstrip("0").rstrip(".")
    if hours:
        return f"{hours}h{minutes}m{shown}s"
    return f"{minutes}m{shown}s" if minutes else f"{shown}s"


def _limit_headers(field: str, standing: Standing) -> Headers:
    end = field.encode()
    return [
        (b"x-ratelimit-limit-" + end, b"%d" % standing.limit),
        (b"x-ratelimit-remaining-" + end, b"%d" % max(standing.free, 0)),
        (b"x-ratelimit-reset-" + end, duration(standing.resets_s).encode()),
    ]


def _share_free(standing: Standing) -> float:
    return standing.free / standing.limit if standing.limit else 0.0


def _past_soft(decision: Decision) -> Iterator[str]:
    if decision.lease is None:
        return
    for charge, standing in zip(decision.lease.charges, decision.standings, strict=False):
        taken = standing.used + standing.reserved
        if taken >= charge.soft * charge.limit:
            yield f"{standing.pool}; {standing.field}={taken}/{standing.limit}"
