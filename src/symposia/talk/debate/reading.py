"""A debate's transcript taken apart: rounds, what each seat said or why it did not, rulings, choices, beliefs.

Everything is found by the marks its turns carried; nothing is remembered elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from symposia.core.message import Message, Scores, Signal
from symposia.core.transcript import Transcript

from .extract import Extracted, extract
from .keys import group_key
from .values import CAPTAIN

if TYPE_CHECKING:
    from .protocol import Debate

ANSWER, RULING, DIRECTION, REPAIR, SELECT, BELIEF = (
    "answer",
    "ruling",
    "direction",
    "repair",
    "select",
    "belief",
)
PURPOSES = frozenset({ANSWER, RULING, DIRECTION, REPAIR, SELECT, BELIEF})
FAILED = "failed"


def mark(purpose: str, number: int, order: int | None = None) -> Signal:
    """What every message of a debate's turn carries; `order` is that of a selection."""
    return Signal(purpose, str(number) if order is None else f"{number}:{order}")


@dataclass(frozen=True, slots=True)
class Mark:
    """A mark, read."""

    purpose: str
    round: int
    order: int | None = None


def mark_of(message: Message) -> Mark | None:
    """The message's mark, or None for one that no turn of a debate made."""
    for part in reversed(message.parts):
        if isinstance(part, Signal) and part.name in PURPOSES:
            return _read(part.name, part.note)
    return None


@lru_cache(maxsize=1024)
def _read(purpose: str, note: str) -> Mark:
    number, colon, order = note.partition(":")
    return Mark(purpose, int(number), int(order) if colon else None)


def failure_of(message: Message) -> str | None:
    """Why a turn left nothing."""
    return next((p.note for p in message.parts if isinstance(p, Signal) and p.name == FAILED), None)


@dataclass(frozen=True, slots=True)
class Said:
    """A seat's answer of a round; `trail` are the tool calls and results before it, by index."""

    seat: str
    index: int
    message: Message
    extracted: Extracted
    key: str
    trail: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Lost:
    """A seat that abstained, and why."""

    seat: str
    index: int
    cause: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """One of the captain's replies: its message, the results that followed it, or why there is none.

    `order` is that of a selection, None in a ruling.
    """

    index: int
    message: Message
    order: int | None = None
    results: int | None = None

    @property
    def failed(self) -> str | None:
        """The cause, where no reply came."""
        return failure_of(self.message)


@dataclass(slots=True)
class Round:
    """Everything of one round. `start` is the length of the transcript its seats saw."""

    number: int
    start: int
    answers: list[Said] = field(default_factory=list)
    lost: list[Lost] = field(default_factory=list)
    rulings: list[Attempt] = field(default_factory=list)
    choices: list[Attempt] = field(default_factory=list)
    repairs: list[Attempt] = field(default_factory=list)
    direction: tuple[int, Message] | None = None
    direction_lost: bool = False
    beliefs: dict[str, Scores | None] = field(default_factory=dict)
    probes: list[int] = field(default_factory=list)

    def answer_of(self, seat: str) -> Said | None:
        """What the seat said in this round."""
        return next((said for said in self.answers if said.seat == seat), None)

    def spoken(self, seat: str) -> bool:
        """Whether the seat has answered or abstained."""
        return any(said.seat == seat for said in self.answers) or any(lost.seat == seat for lost in self.lost)

    @property
    def groups(self) -> list[list[Said]]:
        """The answers that are equal, each group and the seats in it in team order."""
        found: dict[str, list[Said]] = {}
        for said in self.answers:
            found.setdefault(said.key, []).append(said)
        return list(found.values())

    @property
    def candidates(self) -> list[list[Said]]:
        """The groups the captain chooses among: those of which it was shown a member."""
        return [group for group in self.groups if any(said.message.heard_by(CAPTAIN) for said in group)]


def rounds_of(transcript: Transcript, debate: Debate) -> list[Round]:
    """The rounds so far, the last perhaps incomplete; answers and abstentions in team order."""
    rounds: dict[int, Round] = {}
    trail: list[int] = []
    messages = transcript.messages
    for index, message in enumerate(messages):
        found = mark_of(message)
        if found is None:
            if message.author == "tool":
                trail.append(index)
            continue
        held = rounds.setdefault(found.round, Round(found.round, message.as_of or index))
        if found.purpose == ANSWER and message.has_tools:
            trail.append(index)
            continue
        _file(held, found, index, messages, debate, tuple(trail))
        trail.clear()
    order = {name: at for at, name in enumerate(debate.team.names)}
    for held in rounds.values():
        held.answers.sort(key=lambda said: order[said.seat])
        held.lost.sort(key=lambda lost: order[lost.seat])
    return [rounds[number] for number in sorted(rounds)]


def _file(
    held: Round, found: Mark, index: int, messages: Sequence[Message], debate: Debate, trail: tuple[int, ...]
) -> None:
    """Put a marked message where it belongs."""
    message = messages[index]
    match found.purpose:
        case "answer":
            cause = failure_of(message)
            if cause is not None:
                held.lost.append(Lost(message.author, index, cause))
                return
            extracted = extract(message)
            key = group_key(extracted.text, debate.kind, debate.options)
            own = tuple(i for i in trail if messages[i].audience == frozenset({message.author}))
            held.answers.append(Said(message.author, index, message, extracted, key, own))
        case "belief":
            scores = next((p for p in message.parts if isinstance(p, Scores)), None)
            held.beliefs[message.author] = scores
            held.probes.append(index)
        case "direction":
            if failure_of(message) is None:
                held.direction = (index, message)
            else:
                held.direction_lost = True
        case _ if _published(message):
            held.direction = (index, message)
        case purpose:
            results = index + 1 if _answered(messages, index) else None
            attempts = {RULING: held.rulings, SELECT: held.choices, REPAIR: held.repairs}
            attempts[purpose].append(Attempt(index, message, found.order, results))


def _published(message: Message) -> bool:
    """Whether a message of a ruling is its direction, which everybody hears."""
    return bool(message.text) and not message.has_tools and message.audience != frozenset({CAPTAIN})


def _answered(messages: Sequence[Message], index: int) -> bool:
    return messages[index].has_tools and index + 1 < len(messages) and messages[index + 1].author == "tool"


def attempts_at_ruling(held: Round) -> Iterator[Attempt]:
    """The captain's replies to the question whether the round agrees, in order."""
    yield from held.rulings
    yield from (repair for repair in held.repairs if repair.order is None)


def attempts_at_choice(held: Round, order: int) -> Iterator[Attempt]:
    """The captain's replies to one order of candidates."""
    yield from (one for one in held.choices if one.order == order)
    yield from (repair for repair in held.repairs if repair.order == order)
