"""What happens in a debate beside the turns of any conversation."""

from __future__ import annotations

from collections.abc import Callable

from symposia.core.events import Event, Happening
from symposia.core.value import Count

from .choosing import Method, Tiebreak
from .values import DebateAnswer, Ruling


class DebateStarted(Happening, frozen=True, kw_only=True):
    """A debate begins, or goes on after `messages` messages. `config` and `prompts` are digests."""

    config: str
    prompts: str
    question: str
    team: tuple[str, ...]
    profiles: dict[str, str]
    messages: Count = 0


class SeatAbstained(Happening, frozen=True, kw_only=True):
    """A seat gave no answer in a round; it is asked again in the next."""

    round: Count
    seat: str
    cause: str


class Ruled(Happening, frozen=True, kw_only=True):
    """The captain ruled on a round, or could not."""

    ruling: Ruling


class BeliefRead(Happening, frozen=True, kw_only=True):
    """Answers were scored in a seat's place; nobody hears of it. Sums of log-probabilities in nats."""

    round: Count
    seat: str
    choices: tuple[str, ...]
    logprobs: tuple[float, ...]


class Selected(Happening, frozen=True, kw_only=True):
    """One answer was chosen."""

    method: Method
    orders: tuple[tuple[str, ...], ...]
    choices: tuple[str | None, ...]
    tiebreak: Tiebreak | None


class DebateEnded(Happening, frozen=True, kw_only=True):
    """The debate is over."""

    answer: DebateAnswer


DebateEvent = DebateStarted | SeatAbstained | Ruled | BeliefRead | Selected | DebateEnded
Told = Event | DebateEvent
Tell = Callable[[Told], None]
