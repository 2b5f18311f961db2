"""A profile: everything that makes a model behave as it does; and the participant who has it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from typing import Annotated, Literal

from msgspec import Meta

from .errors import InvalidInput, UnknownName
from .intervention import Intervention
from .message import Message
from .receipt import History
from .toolspec import ToolSpec
from .value import Count, Value, digest

MODERATOR = "moderator"
RESERVED = frozenset({"system", "tool"})
_NAME = re.compile(r"[^\W\d_][\w .'-]{0,39}")

Thinking = Literal["auto", "off", "on", "low", "medium", "high"]


class Sampling(Value, frozen=True, kw_only=True):
    """How tokens are drawn. `temperature=0` is argmax with lowest-id ties; `top_k=0` is off.

    `max_tokens=0` is a read: nothing is sampled. `stop` strings end the text before the match.
    `thinking_budget` reasoning tokens and no more: then thinking is ended for the model, and the answer goes on.
    `deterministic` asks for batch-invariant arithmetic: on one machine the same bits alone, in any batch and after any
    preemption, with or without reuse, at the cost of forwards of its own.
    """

    temperature: Annotated[float, Meta(ge=0, le=10)] = 1.0
    top_p: Annotated[float, Meta(gt=0, le=1)] = 1.0
    top_k: Count = 0
    min_p: Annotated[float, Meta(ge=0, lt=1)] = 0.0
    repetition_penalty: Annotated[float, Meta(gt=0)] = 1.0
    presence_penalty: Annotated[float, Meta(ge=-2, le=2)] = 0.0
    frequency_penalty: Annotated[float, Meta(ge=-2, le=2)] = 0.0
    max_tokens: Count = 512
    min_tokens: Count = 0
    stop: tuple[Annotated[str, Meta(min_length=1)], ...] = ()
    stop_token_ids: tuple[Count, ...] = ()
    logit_bias: tuple[tuple[Count, float], ...] = ()
    seed: int | None = None
    thinking: Thinking = "auto"
    thinking_budget: Annotated[int, Meta(ge=1)] | None = None
    deterministic: bool = False


class Profile(Value, frozen=True, kw_only=True, dict=True, gc=True):
    """The thing compared, served and promoted; named by its digest.

    `system=None` leaves a template's own default system text in place, `""` suppresses it. `history` governs
    how the reader's own earlier turns are computed under interventions.
    """

    model: Annotated[str, Meta(min_length=1)]
    system: str | None = None
    sampling: Sampling = Sampling()
    interventions: tuple[Intervention, ...] = ()
    tools: tuple[ToolSpec, ...] = ()
    tool_rounds: Count = 8
    history: History = "scoped"

    @cached_property
    def digest(self) -> str:
        """Names it. Made once: every conversation that it takes part in asks for it."""
        return digest(self)


class Participant(Value, frozen=True, kw_only=True):
    """A name, a profile, and private framing only it sees."""

    name: str
    profile: Profile
    private: tuple[Message, ...] = ()


def check_name(name: str, moderator: str = MODERATOR) -> str:
    """The name, if a participant may have it."""
    if not _NAME.fullmatch(name):
        raise InvalidInput(
            f"participant name {name!r}: expected a letter, then up to 39 letters, digits, spaces "
            "or any of _ . ' -"
        )
    if name in RESERVED or name == moderator:
        raise InvalidInput(f"participant name {name!r} is reserved; choose another")
    return name


def check_roster(participants: Sequence[Participant], moderator: str = MODERATOR) -> None:
    """Refuse an empty roster, reserved or duplicate names, and private messages meant for somebody else."""
    if not participants:
        raise InvalidInput("expected at least one participant; got none")
    for name, n in Counter(p.name for p in participants).items():
        check_name(name, moderator)
        if n > 1:
            raise InvalidInput(f"participant names must be unique; {name!r} stands {n} times")
    for participant in participants:
        for message in participant.private:
            if message.audience is not None and message.audience != frozenset({participant.name}):
                raise InvalidInput(
                    f"a private message of {participant.name!r} has audience {sorted(message.audience)}; "
                    f"leave it out: it is always only {participant.name!r}"
                )


def find(participants: Sequence[Participant], name: str) -> Participant:
    """The participant of that name; `UnknownName` lists the roster."""
    for participant in participants:
        if participant.name == name:
            return participant
    raise UnknownName("participant", name, [p.name for p in participants])
