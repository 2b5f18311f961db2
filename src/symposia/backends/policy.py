"""How often a call is repeated, how long it may wait, how long it may take: values."""

from __future__ import annotations

import random
from typing import Annotated

from msgspec import Meta

from symposia.core.value import Value

Seconds = Annotated[float, Meta(gt=0)]


class Timeouts(Value, frozen=True, kw_only=True):
    """Seconds an attempt may take. `connect_s` is for the HTTP client; the others are kept by `attempts`.

    Until the first delta, between two, and for all of it. Past one of them before the first delta the cause is
    `timeout`, after it `stream_truncated`.
    """

    connect_s: Seconds = 10.0
    first_delta_s: Seconds = 120.0
    idle_s: Seconds = 60.0
    total_s: Seconds = 900.0


class Retries(Value, frozen=True, kw_only=True):
    """`attempts` in all; before number k + 1 a wait of U(0, min(max_wait_s, first_wait_s · 2^(k-1))) seconds.

    A wait the server asks for replaces it; one above `retry_after_max_s` ends the call instead.
    """

    attempts: Annotated[int, Meta(ge=1)] = 5
    first_wait_s: Annotated[float, Meta(ge=0)] = 0.75
    max_wait_s: Annotated[float, Meta(ge=0)] = 8.0
    retry_after_max_s: Annotated[float, Meta(ge=0)] = 60.0

    def wait_s(self, request: str, attempt: int) -> float:
        """The wait after failed attempt `attempt` (from 1) of the request with that digest: always the same."""
        longest = min(self.max_wait_s, self.first_wait_s * 2.0 ** (attempt - 1))
        return random.Random(f"{request}/{attempt}").uniform(0.0, longest)


class Policy(Value, frozen=True, kw_only=True):
    """Retries and timeouts of an endpoint."""

    retries: Retries = Retries()
    timeouts: Timeouts = Timeouts()
