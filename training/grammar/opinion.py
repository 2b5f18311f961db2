"""A reply in a talk with two sides: it takes up the last point, agrees or not, and gives a reason."""

from dataclasses import dataclass, field

from training.grammar import phrases
from training.grammar.bank import Point, Side, Topic
from training.grammar.dice import Dice
from training.grammar.style import closer, coloured, finish, lead, opener, tone, words
from training.grammar.traits import Traits


@dataclass
class Thread:
    """What has been said so far: points used, the newest claim, who made it and what they had in mind.

    `newest` are the claims of the reply being made: it never says the same thing twice.
    """

    topic: Topic
    used: set[tuple[int, int]] = field(default_factory=set)
    last: tuple[int, int] | None = None
    author: str | None = None
    plan: str = ""
    newest: list[tuple[int, int]] = field(default_factory=list)

    def point(self, claim: tuple[int, int]) -> Point:
        """The point of a (side, index) pair."""
        return self.topic.sides[claim[0]].points[claim[1]]


@dataclass(frozen=True)
class Talker:
    """A person in a talk: name, manner, and the side they hold when they are free to choose."""

    name: str
    traits: Traits
    side: int


def side_taken(talker: Talker, thread: Thread) -> int:
    """Whose side the reply is on: the last claim's, the other, or the talker's own, by their agreement."""
    if thread.last is not None and thread.author == talker.name:
        return thread.last[0]
    if thread.last is None or talker.traits.agreement == "own":
        return talker.side
    return thread.last[0] if talker.traits.agreement == "agrees" else 1 - thread.last[0]


def _fresh(dice: Dice, thread: Thread, side: int) -> tuple[int, int]:
    claims = [(side, i) for i in range(len(thread.topic.sides[side].points))]
    if all(claim in thread.used for claim in claims):
        thread.used.difference_update(claims)
        thread.used.update(claim for claim in claims if claim in (thread.last, *thread.newest))
    claim = dice.pick([claim for claim in claims if claim not in thread.used])
    thread.used.add(claim)
    thread.newest.append(claim)
    return claim


def _core(dice: Dice, talker: Talker, thread: Thread, side: Side, claim: tuple[int, int]) -> str:
    traits = talker.traits
    frame = dice.pick(phrases.FRAMES[traits.confidence])
    clause = thread.point(claim).clause
    start = lead(dice, traits)
    if thread.last is None:
        return words(start, tone(dice, traits), frame, side.stance) + f", because {clause}."
    if thread.author == talker.name:
        return words(start, tone(dice, traits), frame, clause) + "."
    same = thread.last[0] == claim[0]
    table = phrases.AGREES if same else phrases.DISAGREES
    reaction = dice.pick(table[traits.formality]).format(h=thread.point(thread.last).handle)
    return (
        words(start, reaction)
        + (", and " if same else ", because ")
        + words(tone(dice, traits), frame, clause)
        + "."
    )


def _extras(dice: Dice, traits: Traits, thread: Thread, side: int) -> list[str]:
    count = {"short": 0, "medium": 1, "long": 2}[traits.verbosity]
    extras = []
    for connective in dice.sample(phrases.MORE[traits.formality], count):
        filler = dice.pick(phrases.FILLERS) if traits.verbosity == "long" else ""
        certainty = dice.pick(phrases.CERTAINTY[traits.confidence])
        clause = thread.point(_fresh(dice, thread, side)).clause
        extras.append(words(connective, filler, tone(dice, traits), certainty, clause) + ".")
    return extras


def opinion(dice: Dice, talker: Talker, thread: Thread, to: str | None, begins: bool = False) -> str:
    """The talker's next reply; `to` is the name it may address. `thread` moves on to the reply's first claim.

    short: two sentences; medium: three or four; long: seven.
    """
    traits = talker.traits
    thread.newest.clear()
    side = side_taken(talker, thread)
    claim = _fresh(dice, thread, side)
    starters = phrases.STARTERS[traits.sentiment]
    first = coloured(dice, traits, dice.pick(starters), None) if begins else opener(dice, traits, to)
    sentences = [first, _core(dice, talker, thread, thread.topic.sides[side], claim)]
    sentences += _extras(dice, traits, thread, side)
    if traits.verbosity == "long":
        so = dice.pick(phrases.SO[traits.formality])
        sentences.append(so.format(l=thread.topic.sides[side].label))
    if traits.verbosity == "long" or (traits.verbosity == "medium" and dice.chance(0.5)):
        sentences.append(closer(dice, traits, to))
    thread.plan = plan(talker, thread, claim)
    thread.last, thread.author = claim, talker.name
    return finish(dice, traits, sentences)


def plan(talker: Talker, thread: Thread, claim: tuple[int, int]) -> str:
    """What the talker has in mind before the reply: manner, the last point, what they make of it."""
    thoughts = [f"I want to sound {talker.traits.sentiment}."]
    if thread.last is not None and thread.author != talker.name:
        thoughts.append(f"The last point was {thread.point(thread.last).handle}.")
        thoughts.append("I agree." if thread.last[0] == claim[0] else "I disagree.")
    thoughts.append(f"I will speak of {thread.point(claim).handle}.")
    return " ".join(thoughts)


def summary(dice: Dice, talker: Talker, thread: Thread, side: int) -> str:
    """One sentence with the talker's side and one of the points named so far, for a cue to sum up."""
    label = thread.topic.sides[side].label
    used = [claim for claim in sorted(thread.used) if claim[0] == side]
    point = thread.point(used[0]).handle if used else thread.topic.sides[side].points[0].handle
    fact = words(lead(dice, talker.traits), f"in short I choose {label} because of {point}")
    thread.plan = f"I will sum up. I choose {label}."
    return finish(dice, talker.traits, [fact + "."])
