"""The table of the protocol, row by row. Every turn of a round sees the transcript as it was before that round."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from msgspec.structs import replace

from symposia.core.errors import InvalidInput
from symposia.core.lines import Line
from symposia.core.message import NOBODY, Message, Signal
from symposia.core.transcript import Transcript
from symposia.talk.protocols import Step, Stop, Turn

from . import beliefs, choosing
from .board import captain_lines, repair_lines, seat_lines, with_cue
from .budget import Spent, allows, spent, worst
from .calls import CONCLUDE, Invalid, calls_of, choose_tool, read_choice
from .prompts import prompt
from .reading import (
    ANSWER,
    BELIEF,
    DIRECTION,
    REPAIR,
    RULING,
    SELECT,
    Round,
    Said,
    attempts_at_choice,
    attempts_at_ruling,
    mark,
    rounds_of,
)
from .rulings import NO, TRIES, YES, ruling_of, why_invalid
from .stops import stop_reason
from .values import CAPTAIN, Ruling

if TYPE_CHECKING:
    from .protocol import Debate

UNDECIDED = frozenset({"captain_lost", "budget", "sprt_split"})
"""Reasons after which seats vote: nobody is there to choose, or nothing is left to ask with."""


@dataclass(frozen=True, slots=True)
class End:
    """The debate is over for `reason`; `by_vote` where no choice is asked for."""

    reason: str
    by_vote: bool
    answered: bool = True


def next_step(debate: Debate, transcript: Transcript) -> Step:
    """The turns to take now, or why there are none."""
    if not transcript.messages or not transcript[0].text.strip():
        raise InvalidInput("a debate needs a question: expected it as the first message; got none")
    rounds = rounds_of(transcript, debate)
    found = decide(debate, transcript, rounds)
    return Stop(found.reason, ok=found.answered) if isinstance(found, End) else found


def decide(debate: Debate, transcript: Transcript, rounds: Sequence[Round]) -> tuple[Turn, ...] | End:
    """The first row of the table that applies."""
    if not rounds:
        return _next_round(debate, transcript, rounds)
    current = rounds[-1]
    missing = tuple(name for name in debate.team.names if not current.spoken(name))
    if missing:
        return tuple(_answer(debate, transcript, rounds[:-1], name, current) for name in missing)
    if len(current.answers) < debate.needed:
        return End("no_quorum", by_vote=True, answered=False)
    return (
        _probes(debate, transcript, rounds)
        or _ruling(debate, transcript, rounds)
        or _after(debate, transcript, rounds)
    )


def _after(debate: Debate, transcript: Transcript, rounds: Sequence[Round]) -> tuple[Turn, ...] | End:
    """A complete round, judged: choose and end, or go on."""
    reason = stop_reason(rounds, debate)
    if reason is not None:
        return _choice(debate, transcript, rounds, reason)
    return _direction(debate, transcript, rounds) or _next_round(debate, transcript, rounds)


def _next_round(debate: Debate, transcript: Transcript, rounds: Sequence[Round]) -> tuple[Turn, ...] | End:
    number, start = len(rounds) + 1, len(transcript)
    if not _affordable(debate, transcript, lambda: _round_at_worst(debate, transcript, rounds)):
        return End("budget", by_vote=True, answered=bool(rounds))
    begun = Round(number, start)
    return tuple(_answer(debate, transcript, rounds, name, begun) for name in debate.team.names)


def _answer(debate: Debate, transcript: Transcript, before: Sequence[Round], name: str, now: Round) -> Turn:
    return Turn(
        speaker=name,
        audience=debate.everyone,
        as_of=now.start,
        view=seat_lines(transcript, before, debate, name),
        tools=debate.tools,
        tool_rounds=debate.tool_budget,
        closing=prompt(debate.prompts, "closing") if debate.tools else "",
        mark=mark(ANSWER, now.number),
        on_failure="abstain",
    )


def _probes(debate: Debate, transcript: Transcript, rounds: Sequence[Round]) -> tuple[Turn, ...]:
    """One turn a seat that answered, which nobody hears; none where there is but one thing to believe."""
    current = rounds[-1]
    if not debate.reads_beliefs:
        return ()
    choices = beliefs.candidates(rounds, debate)
    left = [said.seat for said in current.answers if said.seat not in current.beliefs]
    if len(choices) < 2 or not left or attempts_begun(current):
        return ()
    probed = (transcript[i] for i in current.probes)
    begun = _begun(probed, transcript)
    return tuple(
        Turn(
            speaker=name,
            audience=NOBODY,
            as_of=begun,
            view=seat_lines(transcript, rounds[:-1], debate, name),
            tools=(),
            choices=beliefs.continuations(choices, debate),
            mark=mark(BELIEF, current.number),
            on_failure="abstain",
        )
        for name in left
    )


def attempts_begun(held: Round) -> bool:
    """Whether the captain has been asked about the round already."""
    return bool(held.rulings or held.choices)


def _ruling(debate: Debate, transcript: Transcript, rounds: Sequence[Round]) -> tuple[Turn, ...]:
    if debate.stop != "captain":
        return ()
    current = rounds[-1]
    found = ruling_of(current)
    if isinstance(found, Ruling):
        return ()
    lines = captain_lines(transcript, rounds, debate)
    if debate.captain_by == "scores":
        cue = prompt(debate.prompts, "agree")
        asked = _captain(len(transcript), with_cue(lines, cue), mark(RULING, current.number))
        return (replace(asked, choices=(YES, NO)),)
    if found.repair:
        (failed,) = attempts_at_ruling(current)
        lines = repair_lines(lines, transcript, failed, why_invalid(failed))
    purpose = REPAIR if found.repair else RULING
    turn = _captain(len(transcript), lines, mark(purpose, current.number))
    return (replace(turn, force=CONCLUDE),)


def _direction(debate: Debate, transcript: Transcript, rounds: Sequence[Round]) -> tuple[Turn, ...]:
    """What the next round is told where no call of the captain said it: its own plain words, or the neutral ones."""
    current = rounds[-1]
    if debate.stop != "captain" or current.direction is not None:
        return ()
    ruling = ruling_of(current)
    plain = debate.captain_by == "scores" and isinstance(ruling, Ruling) and ruling.fallback is None
    if plain and not current.direction_lost:
        lines = with_cue(captain_lines(transcript, rounds, debate), prompt(debate.prompts, "direct"))
        turn = _captain(len(transcript), lines, mark(DIRECTION, current.number))
        return (replace(turn, audience=debate.everyone),)
    neutral = Turn(
        speaker=CAPTAIN,
        say=prompt(debate.prompts, "neutral"),
        audience=debate.everyone,
        as_of=len(transcript),
        mark=mark(DIRECTION, current.number),
    )
    return (neutral,)


def _choice(
    debate: Debate, transcript: Transcript, rounds: Sequence[Round], reason: str
) -> tuple[Turn, ...] | End:
    """The captain's choice in every order, then its repairs; or the end."""
    current = rounds[-1]
    if len(current.candidates) < 2 or debate.select == "vote" or reason in UNDECIDED:
        return End(reason, by_vote=True)
    turns = _selections(debate, transcript, rounds)
    begun = bool(current.choices)
    if not begun and not _affordable(debate, transcript, lambda: _selection_at_worst(debate, turns)):
        return End("budget", by_vote=True)
    return turns or End(reason, by_vote=False)


def _selections(debate: Debate, transcript: Transcript, rounds: Sequence[Round]) -> tuple[Turn, ...]:
    """The orders not yet answered, or those whose answer named nothing, once more."""
    current = rounds[-1]
    asked: list[Turn] = []
    again: list[Turn] = []
    before: tuple[Line, ...] | None = None
    begun = _begun((one.message for one in current.choices), transcript)
    repairs = [one.message for one in current.repairs if one.order is not None]
    for number, order in enumerate(choosing.orders_of(current.candidates, debate, current.number)):
        allowed = choosing.labels(len(order))
        tries = list(attempts_at_choice(current, number))
        repair = len(tries) == 1 and choosing.repairable(tries[0], allowed)
        if tries and not repair:
            continue
        before = before or captain_lines(transcript, rounds, debate, ruled=True)
        turn = selection(debate, before, order, mark(SELECT, current.number, number), begun)
        if not tries:
            asked.append(turn)
        else:
            read = read_choice(calls_of(tries[0].message), allowed)
            why = read.why if isinstance(read, Invalid) else ""
            lines = repair_lines(turn.view or (), transcript, tries[0], why)
            turn = _captain(_begun(repairs, transcript), lines, mark(REPAIR, current.number, number))
            again.append(_choosing(turn, debate, allowed))
    return tuple(asked or again)


def selection(
    debate: Debate, before: Sequence[Line], order: Sequence[Sequence[Said]], marked: Signal, as_of: int
) -> Turn:
    """The captain's choice among candidates shown in one order, after the lines it has seen."""
    allowed = choosing.labels(len(order))
    cue = prompt(debate.prompts, "choose").replace("{labels}", ", ".join(allowed))
    lines = with_cue(before, cue.replace("{candidates}", choosing.candidates_json(order, debate.shows)))
    return _choosing(_captain(as_of, lines, marked), debate, allowed)


def _captain(as_of: int, lines: tuple[Line, ...], marked: Signal) -> Turn:
    return Turn(
        speaker=CAPTAIN,
        audience=frozenset({CAPTAIN}),
        as_of=as_of,
        view=lines,
        tools=(),
        mark=marked,
        on_failure="abstain",
    )


def _choosing(turn: Turn, debate: Debate, allowed: Sequence[str]) -> Turn:
    if debate.captain_by == "scores":
        return replace(turn, choices=tuple(allowed))
    return replace(turn, force=choose_tool(allowed))


def _begun(messages: Iterable[Message], transcript: Transcript) -> int:
    """What the turns of a step see: what those of them that are taken saw, else everything."""
    seen = [message.as_of for message in messages if message.as_of is not None]
    return seen[0] if seen else len(transcript)


def _affordable(debate: Debate, transcript: Transcript, at_worst: Callable[[], Spent]) -> bool:
    if debate.budget.unlimited:
        return True
    return allows(debate.budget, spent(transcript.messages, debate), at_worst())


def _round_at_worst(debate: Debate, transcript: Transcript, rounds: Sequence[Round]) -> Spent:
    """Every seat with all its tool calls, its probe, and a ruling that has to be repaired."""
    total, said = Spent(), 0
    for name in debate.team.names:
        lines, profile = seat_lines(transcript, rounds, debate, name), debate.profile_of(name)
        calls = debate.tool_budget + 2 if debate.tools else 1
        total += worst(lines, profile, debate, calls=calls + debate.reads_beliefs)
        said += profile.sampling.max_tokens
    if debate.stop == "captain":
        lines, profile = captain_lines(transcript, rounds, debate), debate.profile_of(CAPTAIN)
        total += worst(lines, profile, debate, unseen=said, calls=TRIES)
    return total


def _selection_at_worst(debate: Debate, turns: Sequence[Turn]) -> Spent:
    """Every order, and a repair of each."""
    profile = debate.profile_of(CAPTAIN)
    return sum((worst(turn.view or (), profile, debate, calls=2) for turn in turns), Spent())
