"""What a debate is made of and what it leaves: frozen values, no behaviour."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from msgspec import Meta

from symposia.core.errors import InvalidInput
from symposia.core.profile import Profile
from symposia.core.value import Count, Value

CAPTAIN = "captain"
FEWEST, MOST = 2, 16
_NAME = re.compile(r"[a-z_]{1,32}")
_TAKEN = frozenset({CAPTAIN, "moderator", "system", "tool"})

Status = Literal["answered", "no_quorum", "budget", "error"]
Kind = Literal["auto", "number", "choice", "text"]
Size = Literal["full", "short"]
Purpose = Literal["answer", "tool", "ruling", "select", "repair", "belief"]
Positive = Annotated[int, Meta(ge=1)]


class Seat(Value, frozen=True):
    """A place in the team: a standard of justification, and the profile that answers by it; None is the debate's."""

    name: str
    disposition: str
    profile: Profile | None = None


class Team(Value, frozen=True):
    """Seats in the order in which everything about them is listed and ties are settled."""

    name: str
    seats: tuple[Seat, ...]

    def __post_init__(self) -> None:
        if not FEWEST <= len(self.seats) <= MOST:
            raise InvalidInput(
                f"team {self.name!r}: expected {FEWEST} to {MOST} seats; got {len(self.seats)}"
            )
        for name in self.names:
            if not _NAME.fullmatch(name) or name in _TAKEN:
                raise InvalidInput(
                    f"seat {name!r}: expected 1 to 32 of a-z and _, and none of {', '.join(sorted(_TAKEN))}"
                )
            if self.names.count(name) > 1:
                raise InvalidInput(
                    f"seat names must be unique; {name!r} stands {self.names.count(name)} times"
                )

    @property
    def names(self) -> tuple[str, ...]:
        """The seats' names, in order."""
        return tuple(seat.name for seat in self.seats)


class Ruling(Value, frozen=True, kw_only=True):
    """What the captain said of a round, in so many `attempts`; `fallback` is the cause where none counted."""

    round: Positive
    consensus: bool
    direction: str | None
    attempts: Count
    fallback: str | None = None


class LedgerRow(Value, frozen=True, kw_only=True):
    """One attempt. `cost` in USD, exact; None where no price is known. `ms` is None where no clock was there.

    `cause` says why an attempt left nothing; then its tokens are those that are known.
    """

    seat: str
    round: Count
    purpose: Purpose
    prompt_tokens: Count = 0
    cached_tokens: Count = 0
    completion_tokens: Count = 0
    reasoning_tokens: Count = 0
    cost: str | None = None
    ms: float | None = None
    estimated: bool = False
    cause: str | None = None


class DebateAnswer(Value, frozen=True, kw_only=True):
    """What a debate came to. `answer` is the words of `seat` in `round`, byte for byte; None if there is none.

    `support` counts the seats behind each distinct answer of that round, in team order.
    """

    status: Status
    reason: str
    answer: str | None = None
    seat: str | None = None
    round: Count = 0
    rounds: Count = 0
    support: tuple[tuple[str, int], ...] = ()
    flags: tuple[str, ...] = ()
    ledger: tuple[LedgerRow, ...] = ()
