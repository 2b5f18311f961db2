"""A breaker: an endpoint that lets every call run out of attempts is left alone for a while.

Pure: time is passed in, in seconds of any one clock.
"""

from __future__ import annotations

from symposia.core.errors import BackendError

EXHAUSTED_IN_A_ROW = 10
OPEN_S = 30.0


class Breaker:
    """Opens after ten exhausted calls in a row, for 30 s; then one call tries, and decides."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self._row = 0
        self._until = 0.0

    def check(self, now: float) -> None:
        """Raise `BackendError(breaker_open)` while open. After that time one call a period is let through to try."""
        if self._row < EXHAUSTED_IN_A_ROW:
            return
        if now < self._until:
            raise BackendError(
                f"{self._endpoint}: {self._row} calls in a row ran out of attempts; "
                f"nothing is sent for another {self._until - now:.0f} s",
                cause="breaker_open",
                retry_after_s=self._until - now,
                attempts=0,
            )
        self._until = now + OPEN_S

    def exhausted(self, now: float) -> None:
        """A call ran out of attempts."""
        self._row += 1
        if self._row >= EXHAUSTED_IN_A_ROW:
            self._until = now + OPEN_S

    def answered(self) -> None:
        """The endpoint replied, if only to refuse: the row is broken."""
        self._row = 0
