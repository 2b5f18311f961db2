"""Whether one more call may begin: requests and tokens over any 60 s, calls in flight, a pause, what the server says.

The decision alone: no clock, no waiting. Times are passed in, in seconds of one monotonic clock; windows are
half-open: what begins at t counts in [t, t + 60).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from .remaining import Remaining

WINDOW_S = 60.0
SUCCESSES_A_STEP = 20


@dataclass(eq=False, slots=True)
class Grant:
    """A call that was let begin, and what it counts as."""

    number: int
    at: float
    tokens: int


@dataclass(slots=True)
class Believed:
    """What the server said is left, of what was granted after grant `after`; forgotten at `until`."""

    left: int
    after: int
    until: float


@dataclass(slots=True)
class Pace:
    """The state of one endpoint and key. None for `rpm`, `tpm`: no such limit. At most `cap` <= `most` calls fly.

    `settled` sums the tokens of calls answered in full.
    """

    rpm: int | None = None
    tpm: int | None = None
    most: int = 64
    cap: int = field(init=False)
    flying: int = field(default=0, init=False)
    settled: int = field(default=0, init=False)
    paused_until: float = field(default=0.0, init=False)
    _recent: deque[Grant] = field(default_factory=deque, init=False)
    _tokens: int = field(default=0, init=False)
    _granted: int = field(default=0, init=False)
    _halved_at: int = field(default=0, init=False)
    _successes: int = field(default=0, init=False)
    _requests_left: Believed | None = field(default=None, init=False)
    _tokens_left: Believed | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.cap = self.most

    def due(self, now: float, tokens: int) -> float | None:
        """When a call of `tokens` may begin, at the earliest: `now` is at once, None when another must end first."""
        self._forget(now)
        if self.flying >= self.cap:
            return None
        return max(now, self.paused_until, self._requests_due(), self._tokens_due(tokens))

    def grant(self, now: float, tokens: int) -> Grant:
        """Let a call begin, counting as `tokens` until it is settled."""
        self._granted += 1
        self.flying += 1
        grant = Grant(self._granted, now, tokens)
        self._recent.append(grant)
        self._tokens += tokens
        return grant

    def settle(self, grant: Grant, tokens: int) -> None:
        """The call counts as `tokens` from now on, as long as it counts at all."""
        if self._recent and grant.number >= self._recent[0].number:
            self._tokens += tokens - grant.tokens
        grant.tokens = tokens

    def leave(self) -> None:
        """A granted call ended."""
        self.flying -= 1

    def answered(self, grant: Grant, tokens: int) -> None:
        """A call was answered in full and used `tokens`; every twentieth lets one more fly, up to `most`."""
        self.settle(grant, tokens)
        self.settled += tokens
        self._successes += 1
        if self._successes >= SUCCESSES_A_STEP:
            self._successes = 0
            self.cap = min(self.most, self.cap + 1)

    def refused(self, grant: Grant) -> None:
        """A 429: half as many may fly, at least one. Refusals of calls that flew together count once."""
        self._successes = 0
        if grant.number > self._halved_at:
            self._halved_at = self._granted
            self.cap = max(1, self.cap // 2)

    def pause(self, until: float) -> None:
        """Let nothing begin before `until`."""
        self.paused_until = max(self.paused_until, until)

    def believe(self, grant: Grant, said: Remaining, now: float) -> None:
        """What the reply to `grant` says is left; later grants come off it. The last word counts."""
        if said.requests is not None:
            self._requests_left = Believed(said.requests, grant.number, now + _until(said.requests_reset_s))
        if said.tokens is not None:
            self._tokens_left = Believed(said.tokens, grant.number, now + _until(said.tokens_reset_s))

    def _forget(self, now: float) -> None:
        while self._recent and now >= self._recent[0].at + WINDOW_S:
            self._tokens -= self._recent.popleft().tokens
        if self._requests_left is not None and now >= self._requests_left.until:
            self._requests_left = None
        if self._tokens_left is not None and now >= self._tokens_left.until:
            self._tokens_left = None

    def _requests_due(self) -> float:
        due = 0.0
        if self.rpm is not None and len(self._recent) >= self.rpm:
            due = self._recent[len(self._recent) - self.rpm].at + WINDOW_S
        said = self._requests_left
        if said is not None and self._granted - said.after >= said.left:
            due = max(due, said.until)
        return due

    def _tokens_due(self, tokens: int) -> float:
        due = 0.0
        if self.tpm is not None:
            over = self._tokens + tokens - self.tpm
            for grant in self._recent:
                if over <= 0:
                    break
                over -= grant.tokens
                due = grant.at + WINDOW_S
        said = self._tokens_left
        if said is not None:
            since = sum(grant.tokens for grant in self._recent if grant.number > said.after)
            if since + tokens > said.left:
                due = max(due, said.until)
        return due


def _until(reset_s: float | None) -> float:
    return WINDOW_S if reset_s is None else min(reset_s, WINDOW_S)
