"""Replaying a debate: the changed branch beside an unchanged one, with the same seeds, from the change on."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from symposia.backends import Journalled
from symposia.core.transcript import Transcript
from symposia.core.value import Count, Value
from symposia.evals.statistics.bootstrap import bootstrap
from symposia.evals.statistics.interval import Interval
from symposia.talk.converse import converse
from symposia.talk.debate import Debate, DebateAnswer, read_answer
from symposia.talk.debate.setting import kit_for
from symposia.talk.rules import Kit, Rules

from .changes import BeliefShift, SeatChange, belief_shifts, same_answer, seat_changes
from .edited import Edited, edited_answers
from .edits import Edit, Revise, branch_point, branched, revised


@dataclass(frozen=True, slots=True)
class Held:
    """A debate that was held, and what to go on with it: the run's journal before the backend, and its rules."""

    debate: Debate
    transcript: Transcript
    backend: Journalled
    rules: Rules
    kit: Kit = field(default_factory=Kit)


class Effect(Value, frozen=True, kw_only=True):
    """How often the answer changed: with the change, without it, and the difference over paired seeds."""

    repeats: Count
    edited: float
    control: float
    difference: float
    interval: Interval


class Replay(Value, frozen=True, kw_only=True):
    """What a change came to. `calls` are those the journal did not answer, repeats included."""

    edits: tuple[Edit, ...]
    before: DebateAnswer
    after: DebateAnswer
    changed: bool
    seats: tuple[SeatChange, ...] = ()
    beliefs: tuple[BeliefShift, ...] = ()
    calls: Count = 0
    effect: Effect | None = None
    digest: str


async def replay(held: Held, edits: Sequence[Edit], *, repeats: int = 0, seed: int = 0) -> Replay:
    """Change the debate, go on with the seeds it had, and compare; then `repeats` times with fresh paired seeds.

    Without changes the debate is read again: no call is made. Raises `InvalidInput` for a change that cannot be made.
    """
    edits, asked = tuple(edits), held.backend.calls
    point = branch_point(held.transcript, held.debate, edits)
    transcript = await go_on(held, edits, point, held.rules)
    before = read_answer(held.transcript, held.debate)
    after = read_answer(transcript, last_debate(held.debate, edits))
    effect = await _effect(held, edits, point, repeats, seed) if repeats else None
    return Replay(
        edits=edits,
        before=before,
        after=after,
        changed=not same_answer(before, after, held.debate),
        seats=tuple(seat_changes(held.transcript, transcript, held.debate)),
        beliefs=tuple(belief_shifts(held.transcript, transcript, held.debate)),
        calls=held.backend.calls - asked,
        effect=effect,
        digest=transcript.digest,
    )


async def go_on(held: Held, edits: Sequence[Edit], point: int, rules: Rules) -> Transcript:
    """The debate from a branch point to its end, under changes; profiles change between rounds."""
    transcript = branched(held.transcript, held.debate, edits, point)
    rounds = sorted({edit.round for edit in edits if isinstance(edit, Revise)})
    for first, until in zip([1, *rounds], [*rounds, None], strict=True):
        debate = revised(held.debate, edits, first)
        kit = kit_for(debate, held.kit)
        kit = replace(kit, answers={**kit.answers, **edited_answers(debate, edits)})
        protocol = Edited(debate, tuple(edits), until)
        done = await converse(
            protocol, debate.participants, held.backend, transcript=transcript, rules=rules, kit=kit
        )
        transcript = done.transcript
    return transcript


def last_debate(debate: Debate, edits: Sequence[Edit]) -> Debate:
    """The debate with the profiles its seats ended with."""
    rounds = (edit.round for edit in edits if isinstance(edit, Revise))
    return revised(debate, edits, max(rounds, default=1))


def greedy(debate: Debate) -> bool:
    """Whether nothing is drawn: then every repeat is the same."""
    return all(one.profile.sampling.temperature == 0 for one in debate.participants)


def fresh(rules: Rules, debate: Debate, draw: int) -> Rules:
    """The rules with random streams of their own, the same for every branch of a draw; as they are if all is greedy."""
    return rules if greedy(debate) else replace(rules, seed_key=(*rules.seed_key, "replay", draw))


async def _effect(held: Held, edits: tuple[Edit, ...], point: int, repeats: int, seed: int) -> Effect:
    before = read_answer(held.transcript, held.debate)
    ended = last_debate(held.debate, edits)

    async def changed(draw: int, made: tuple[Edit, ...], debate: Debate) -> bool:
        transcript = await go_on(held, made, point, fresh(held.rules, held.debate, draw))
        return not same_answer(before, read_answer(transcript, debate), held.debate)

    draws = range(repeats)
    with_it = await asyncio.gather(*(changed(draw, edits, ended) for draw in draws))
    without = await asyncio.gather(*(changed(draw, (), held.debate) for draw in draws))
    differences = [int(one) - int(other) for one, other in zip(with_it, without, strict=True)]
    return Effect(
        repeats=repeats,
        edited=sum(with_it) / repeats,
        control=sum(without) / repeats,
        difference=sum(differences) / repeats,
        interval=bootstrap(differences, seed),
    )
