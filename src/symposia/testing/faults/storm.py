"""A server's own limits: requests and tokens over any window, refused with 429 and the time to come back. Pure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from .reply import Received


@dataclass(slots=True)
class Storm:
    """Lets through what the limits allow. A request counts its prompt and its `max_tokens`, as real servers do."""

    rpm: int | None = None
    tpm: int | None = None
    window_s: float = 60.0
    refused: int = 0
    _let: deque[tuple[float, int]] = field(default_factory=deque, init=False)

    def retry_after_s(self, asked: Received, now: float) -> float | None:
        """Seconds until this request may come again; None: it may pass, and counts."""
        while self._let and now >= self._let[0][0] + self.window_s:
            self._let.popleft()
        tokens = asked.prompt_tokens + (asked.max_tokens or 0)
        full = self.rpm is not None and len(self._let) >= self.rpm
        heavy = self.tpm is not None and sum(n for _, n in self._let) + tokens > self.tpm
        if full or heavy:
            self.refused += 1
            return self._let[0][0] + self.window_s - now if self._let else self.window_s
        self._let.append((now, tokens))
        return None
