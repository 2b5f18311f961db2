"""Money before work: hold a request's charges against a ledger, or say when it would fit."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Literal

from symposia.core.errors import SymposiaError
from symposia.core.value import Count, Value
from symposia.serve.ledger import Crossing, Kind, Lease, Ledger, LedgerUnreachable, Refusal, Standing

from .policy import CostPolicy, Route
from .resolve import charges

LEAST = 16
"""The smallest output a request is shrunk to, in tokens."""

TRIES = 3
"""How often a request is shrunk to what was free a moment ago before it is refused."""


class Ask(Value, frozen=True, kw_only=True):
    """The tokens of a request: its prompt's estimate and `n` replies of at most `maximum`."""

    prompt: Count
    n: Count = 1
    maximum: Count = 0

    @property
    def tokens(self) -> int:
        """What is reserved for it."""
        return self.prompt + self.n * self.maximum


class Decision(Value, frozen=True, kw_only=True):
    """A request that may go on. `maximum` is what its output was shrunk to, or was asked for.

    `would_block`: only because hard limits are off; `over` are the pools it did not fit. `unheld`: the ledger could not
    be asked and the policy is `open`; `why` says so and there is no lease to settle.
    """

    decision: Literal["allowed", "would_block", "unheld"]
    route: Route
    maximum: Count = 0
    lease: Lease | None = None
    standings: tuple[Standing, ...] = ()
    crossings: tuple[Crossing, ...] = ()
    over: tuple[Standing, ...] = ()
    why: str = ""


class BudgetExceeded(SymposiaError):
    """A pool has no room. `retry_after_s` is exact if nobody else comes; None: the request never fits."""

    def __init__(self, route: Route, tokens: int, refusal: Refusal) -> None:
        charge, standing = refusal.charge, refusal.standing
        super().__init__(
            f"{charge.pool}: {charge.amount} {charge.field} asked for, {max(standing.free, 0)} of {charge.limit} free; "
            + (
                f"it never fits: ask for at most {charge.limit}"
                if refusal.retry_after_s is None
                else f"try again in {refusal.retry_after_s:g} s"
            )
        )
        self.route, self.tokens, self.refusal = route, tokens, refusal

    @property
    def pool(self) -> str:
        """The pool that refused."""
        return self.refusal.charge.pool

    @property
    def kind(self) -> Kind:
        """Whether it is a budget or a rate."""
        return self.refusal.charge.kind

    @property
    def retry_after_s(self) -> float | None:
        """Seconds until it fits; None: never."""
        return self.refusal.retry_after_s


async def enforce(
    *,
    policy: CostPolicy,
    ledger: Ledger,
    model: str,
    profile: str,
    key: str,
    tokens: int,
    ttl_s: float = 660.0,
) -> Decision:
    """`hold` for a request of so many tokens."""
    route = Route(model=model, profile=profile, key=key)
    return await hold(policy, ledger, route, ask=Ask(prompt=tokens), ttl_s=ttl_s)


async def hold(
    policy: CostPolicy,
    ledger: Ledger,
    route: Route,
    *,
    ask: Ask,
    ttl_s: float,
    random: Callable[[int], bytes] = secrets.token_bytes,
) -> Decision:
    """Reserve what a request may use, for `ttl_s` seconds. Whoever gets a lease settles it, on every exit.

    `BudgetExceeded` if it does not fit; where the policy says `shrink_to_fit`, only if less would not fit either.
    `LedgerUnreachable` if the ledger cannot be asked and the policy is `closed`. `random` gives so many random bytes.
    """
    first, refusal = ask, None
    for _ in range(TRIES):
        lease = f"lease_{random(12).hex()}"
        wanted = charges(policy, route, ask.tokens)
        try:
            answer = await ledger.reserve(lease, wanted, ttl_s=ttl_s, hard=policy.hard_limits)
        except LedgerUnreachable as error:
            if policy.ledger_down == "closed":
                raise
            return Decision(decision="unheld", route=route, maximum=ask.maximum, why=str(error))
        if not isinstance(answer, Refusal):
            return Decision(
                decision="would_block" if answer.over else "allowed",
                route=route,
                maximum=ask.maximum,
                lease=answer.lease,
                standings=answer.standings,
                crossings=answer.crossings,
                over=answer.over,
            )
        refusal = refusal or answer
        less = shrunk(answer.standings, ask) if policy.shrink_to_fit else None
        if less is None:
            break
        ask = less
    assert refusal is not None
    raise BudgetExceeded(route, first.tokens, refusal)


def shrunk(standings: tuple[Standing, ...], ask: Ask) -> Ask | None:
    """The same request with the largest smaller output for which every pool has tokens; None if 16 are not free."""
    free = [standing.free for standing in standings if standing.field == "tokens"]
    requests = [standing.free for standing in standings if standing.field == "requests"]
    if not free or min(requests, default=1) < 1 or ask.n == 0:
        return None
    maximum = (min(free) - ask.prompt) // ask.n
    return Ask(prompt=ask.prompt, n=ask.n, maximum=maximum) if LEAST <= maximum < ask.maximum else None
