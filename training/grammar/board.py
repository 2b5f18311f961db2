"""A question answered by several seats in rounds; a seat sees the others' answers as a JSON array."""

import json
from dataclasses import dataclass, replace

from training.grammar import quiz
from training.grammar.bank import topics
from training.grammar.dialogue import Dialogue, Meter, Utterance
from training.grammar.dice import Dice
from training.grammar.opinion import Talker, Thread, opinion
from training.grammar.person import talkers
from training.grammar.style import dressed

SEATS = (
    *("evidence", "derivation", "practice", "refutation", "calibration", "interpretation", "framing"),
    *("coherence", "synthesis", "comparison", "researcher", "solver", "alternatives", "verification"),
)
RULES = (
    "You are one of several experts who answer a question together.",
    "You answer a question as a member of a team.",
    "Several seats work on one question in rounds.",
    "Work the whole problem in each round.",
    "Give your reasons first.",
    "Weigh what the others say by your own standard.",
    "Change your mind for a better reason only.",
)
ROLES = (
    "You are {n}: count only what is given.",
    "You are {n}. Check every step.",
    "Your seat is {n}. Ask what follows in practice.",
    "Seat: {n}. Try to break the answer.",
)
DIRECTIONS = (
    "Check the last step.",
    "Say why you differ.",
    "Compare the two answers.",
    "Look again at the question.",
)


@dataclass(frozen=True)
class _Task:
    asked: str
    right: quiz.Question | None
    thread: Thread


def _task(dice: Dice) -> _Task:
    thread = Thread(dice.pick(topics()))
    if dice.chance(0.4):
        return _Task(dice.pick(thread.topic.questions), None, thread)
    draw = dice.weighted(((quiz.arithmetic, 0.5), (quiz.yes_no, 0.25), (quiz.choice, 0.25)))
    question = draw(dice)
    return _Task(question.asked, question, thread)


def _content(dice: Dice, seat: Talker, task: _Task) -> str:
    if task.right is not None:
        text = dressed(dice, seat.traits, task.right.fact, None)
        return f"{text}\n{quiz.MARKER} {task.right.answer}"
    text = opinion(dice, seat, task.thread, None)
    last = task.thread.last or (seat.side, 0)
    return f"{text}\n{quiz.MARKER} {task.thread.topic.sides[last[0]].label}"


def _entries(dice: Dice, number: int, others: tuple[Talker, ...], task: _Task) -> str:
    entries: list[dict[str, str | int]] = []
    for seat in others:
        text = _content(dice, seat, task)
        entries.append({"round": number, "author": seat.name, "kind": "answer", "content": text})
    if dice.chance(0.7):
        told = dice.pick(DIRECTIONS)
        entries.append({"round": number, "author": "captain", "kind": "direction", "content": told})
    return json.dumps(entries, ensure_ascii=False, separators=(",", ":"))


def board(dice: Dice) -> Dialogue:
    """One to three rounds of a team of two to four, seen by one seat."""
    people = talkers(dice, dice.between(2, 4))
    names = dice.sample(SEATS, len(people))
    viewer, *others = (
        replace(person, name=name, traits=replace(person.traits, verbosity="short"))
        for person, name in zip(people, names, strict=True)
    )
    dialogue = Dialogue(roster=(viewer.name, "user"), viewer=viewer.name, kind="board")
    rules = [rule for rule in RULES if dice.chance(0.5)]
    dialogue.system = " ".join([*rules, dice.pick(quiz.INSTRUCTIONS), "Seats: " + ", ".join(names) + "."])
    task = _task(dice)
    dialogue.say("user", f"{task.asked}\n\n{dice.pick(ROLES).format(n=viewer.name)}")
    meter = Meter(dice)
    for number in range(1, dice.between(1, 3) + 1):
        meter.start()
        text = _content(dice, viewer, task)
        dialogue.spoken.append(Utterance(viewer.name, text, meter.read(), taught=True))
        dialogue.say("user", _entries(dice, number, tuple(others), task))
    return dialogue
