"""What calls to one endpoint share: its governor and its breaker, one pair for each base URL and key.

An `Endpoints` object owns the pairs, so two names for one account cannot spend its limits twice.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from symposia.core.clock import Clock
from symposia.core.errors import InvalidInput
from symposia.core.redact import Secret
from symposia.core.value import Value

from .breaker import Breaker
from .governor import Governor


class Limits(Value, frozen=True, kw_only=True):
    """Requests and tokens over any 60 s, None for no limit; calls in flight at most."""

    rpm: int | None = None
    tpm: int | None = None
    concurrency: int = 64


@dataclass(frozen=True, slots=True)
class Gate:
    """What every attempt of every call passes through."""

    governor: Governor
    breaker: Breaker
    limits: Limits


@dataclass(slots=True)
class Gates:
    """The gates in use; each is made when first asked for."""

    clock: Clock
    _made: dict[tuple[str, Secret | None], Gate] = field(default_factory=dict)

    def at(self, endpoint: str, base_url: str, key: Secret | None, limits: Limits) -> Gate:
        """The gate of that server and key. Raises `InvalidInput` if another endpoint gave it other limits."""
        where = (base_url.rstrip("/"), key)
        gate = self._made.get(where)
        if gate is None:
            governor = Governor(
                endpoint,
                clock=self.clock,
                rpm=limits.rpm,
                tpm=limits.tpm,
                concurrency=limits.concurrency,
            )
            gate = self._made[where] = Gate(governor, Breaker(endpoint), limits)
        if gate.limits != limits:
            raise InvalidInput(
                f"{endpoint} and {gate.governor.endpoint} share one server and key, hence its limits; "
                f"give both the same rpm, tpm and concurrency: {gate.limits} or {limits}"
            )
        return gate
