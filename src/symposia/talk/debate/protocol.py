"""The debate: who is asked next, as a pure function of the transcript.

The first row that applies: seats missing in this round; quorum; beliefs; the captain's ruling; a choice among the
answers; the end; the next round.
"""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Literal

from msgspec import Meta

from symposia.core.errors import InvalidInput
from symposia.core.profile import Participant, Profile
from symposia.core.transcript import Transcript
from symposia.core.value import Count, digest
from symposia.talk.protocols import Rule, Step

from . import steps
from .budget import Budget
from .prompts import disposition
from .stops import stop_rule
from .values import CAPTAIN, Kind, Positive, Size, Team


class Debate(Rule, frozen=True, kw_only=True, tag="debate", dict=True, gc=True):
    """Seats answer side by side, read one another and answer again; a captain says whether they agree.

    `profile` is what seats without their own answer with. `quorum` None is two thirds of the seats, rounded up.
    `stop` is `captain`, `fixed:R`, `sprt`, `belief` or `pkg.mod:rule`. `options` are the answers a question allows.
    `captain_by` says whether the captain is forced to call a tool, or its yes is scored. Raises `InvalidInput` for
    what cannot be held.
    """

    team: Team
    captain: Profile | None
    profile: Profile | None = None
    max_rounds: Positive = 3
    quorum: Positive | None = None
    stop: str = "captain"
    select: Literal["captain", "vote"] = "captain"
    orders: Annotated[int, Meta(ge=1, le=16)] = 2
    shows: Literal["answer", "full"] = "answer"
    tools: tuple[str, ...] = ()
    tool_budget: Count = 3
    beliefs: bool = False
    kind: Kind = "auto"
    options: tuple[Annotated[str, Meta(min_length=1)], ...] = ()
    prompts: Size = "full"
    captain_by: Literal["tool", "scores"] = "tool"
    seed: int = 0
    budget: Budget = Budget()

    def __post_init__(self) -> None:
        seats = len(self.team.seats)
        if self.max_rounds < 1:
            raise InvalidInput(f"max_rounds: expected at least 1; got {self.max_rounds}")
        if self.quorum is not None and not 1 <= self.quorum <= seats:
            raise InvalidInput(f"quorum: expected 1 to {seats}, the seats of the team; got {self.quorum}")
        if self.orders < 1:
            raise InvalidInput(f"orders: expected at least 1; got {self.orders}; select='vote' asks for none")
        stop_rule(self.stop)
        for seat in self.team.seats:
            disposition(self.prompts, seat.disposition)
            self.profile_of(seat.name)
        if self.captain is None and self.stop == "captain":
            raise InvalidInput(
                "stop='captain' needs a captain; name one, or stop by 'fixed:R', 'sprt' or 'belief'"
            )
        if self.captain is None and self.select == "captain":
            raise InvalidInput("select='captain' needs a captain; name one, or take select='vote'")
        self.budget.check(p.profile for p in self.participants)

    @cached_property
    def digest(self) -> str:
        """Names the debate, whatever its question."""
        return digest(self)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(p.name for p in self.participants)

    @cached_property
    def everyone(self) -> frozenset[str]:
        """All seats and the captain."""
        return frozenset((*self.team.names, CAPTAIN))

    @property
    def needed(self) -> int:
        """How many answers a round must have."""
        return self.quorum if self.quorum is not None else -(-2 * len(self.team.seats) // 3)

    @property
    def reads_beliefs(self) -> bool:
        """Whether every round is followed by probes."""
        return self.beliefs or self.stop == "belief"

    @cached_property
    def participants(self) -> tuple[Participant, ...]:
        """Who takes part: the seats, then the captain if there is one."""
        seats = [Participant(name=name, profile=self.profile_of(name)) for name in self.team.names]
        captain = [] if self.captain is None else [Participant(name=CAPTAIN, profile=self.captain)]
        return (*seats, *captain)

    def profile_of(self, name: str) -> Profile:
        """What a seat, or the captain, answers with."""
        if name == CAPTAIN and self.captain is not None:
            return self.captain
        for seat in self.team.seats:
            if seat.name == name:
                profile = seat.profile or self.profile
                if profile is not None:
                    return profile
        raise InvalidInput(f"seat {name!r} has no profile, and the debate has none for all; give one of them")

    def next(self, transcript: Transcript) -> Step:
        return steps.next_step(self, transcript)
