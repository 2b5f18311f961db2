"""Talks between two to five people about a topic with two sides, with questions, cues and a planted word."""

from dataclasses import dataclass, replace

from training.grammar import secret
from training.grammar.bank import Topic, topics
from training.grammar.dialogue import MODERATOR, Dialogue, Meter, Utterance
from training.grammar.dice import Dice
from training.grammar.opinion import Talker, Thread, opinion, side_taken, summary
from training.grammar.person import system_text, talkers, with_context
from training.grammar.style import dressed
from training.grammar.traits import with_value

SCENES = (
    "A group of friends is talking about {t}.",
    "This is a talk about {t}.",
    "The topic is {t}.",
    "People are debating {t}.",
)
INVITES = (
    "Let us talk about {t}.",
    "Today we talk about {t}.",
    "What do you think about {t}?",
    "Please debate {t}.",
)
HELLOS = ("Hello.", "Hi there!", "Good morning.", "Say something.", "Hello, how do you do?", "Hi.")
MORE = ("Why?", "Tell me more.", "Are you sure?", "Go on.", "And what else?", "Say more about {t}.")
CUES = {
    "short": ("Please keep it short.", "Answer in one sentence.", "Be brief now."),
    "long": ("Please answer at length.", "Give a long answer now.", "Tell us everything."),
    "sum": ("Please sum up your view.", "What is your conclusion?", "Sum up in one sentence."),
}


@dataclass
class _Plant:
    noun: str
    word: str
    place: int  # number of the utterance it is added to; -1: the system text
    ask: int


def talk(dice: Dice, *, longest: int = 0) -> Dialogue:
    """One talk, seen by its first talker; of at most `longest` utterances or so, 4 or 10 by default."""
    longest = longest or dice.weighted(((4, 0.6), (10, 0.4)))
    people = talkers(dice, dice.weighted(((2, 0.58), (3, 0.22), (4, 0.12), (5, 0.08))))
    viewer, topic = people[0], dice.pick(topics())
    asked_by_user = len(people) == 2 and dice.chance(0.35)
    if asked_by_user:
        people = (viewer, replace(people[1], name="user"))
    names = tuple(person.name for person in people)
    dialogue = Dialogue(roster=names, viewer=viewer.name, kind="talk")
    shared = dice.pick(SCENES).format(t=topic.noun) if dice.chance(0.3) else ""
    shared = dice.pick(topic.questions) if not shared and dice.chance(0.25) else shared
    own = system_text(dice, viewer, topic=topic, others=() if asked_by_user else names[1:])
    if dice.chance(0.12):
        dialogue.thinking = dice.pick(("stated", "invited"))
        if dialogue.thinking == "stated":
            own = (own + " " + dice.pick(THINK)).strip()
    length = dice.between(1, longest)
    plant = _plant(dice, length)
    if plant is not None and plant.place < 0:
        own = (own + " " + secret.planted(dice, plant.noun, plant.word)).strip()
    dialogue.system = with_context(shared, own)
    known = len(names) > 2 or names[-1] in own
    _run(dice, dialogue, people, Thread(topic), length, plant, known, shared != "")
    return dialogue


THINK = ("Think before you answer.", "Think first, then answer.", "Reason before each reply.")


def _plant(dice: Dice, length: int) -> _Plant | None:
    if length < 5 or not dice.chance(0.6):
        return None
    place = dice.between(-1, 1)
    ask = dice.between(place + 4, max(place + 4, min(length, place + 10)))
    return _Plant(dice.pick(secret.NOUNS), secret.secret_word(dice), place, ask)


def _run(
    dice: Dice,
    dialogue: Dialogue,
    people: tuple[Talker, ...],
    thread: Thread,
    length: int,
    plant: _Plant | None,
    known: bool,
    framed: bool,
) -> None:
    order = list(people)
    if dice.chance(0.5):
        order = order[1:] + order[:1]
    if dice.chance(0.3 if framed else 0.6) or order[0].name == "user":
        invites = HELLOS if not framed and dice.chance(0.2) else thread.topic.questions + INVITES
        invite = dice.pick(invites).format(t=thread.topic.noun)
        author = "user" if "user" in dialogue.roster else dice.pick((MODERATOR, order[-1].name))
        dialogue.say(author, invite)
    at = 0
    for number in range(length):
        talker = order[at % len(order)]
        asks = plant is not None and number == plant.ask
        if asks and plant is not None:
            if talker is people[0]:
                at += 1
            dialogue.say(dice.pick(people[1:]).name, secret.asked(dice, plant.noun))
            _answer(dice, dialogue, people[0], plant)
            continue
        _turn(dice, dialogue, talker, people[0], thread, known)
        if plant is not None and number == plant.place:
            _tell(dice, dialogue, people, plant)
        at += 1 if dice.chance(0.85) else dice.between(1, len(order))


def _tell(dice: Dice, dialogue: Dialogue, people: tuple[Talker, ...], plant: _Plant) -> None:
    told = secret.planted(dice, plant.noun, plant.word)
    last = dialogue.spoken[-1]
    if last.author != dialogue.viewer and dice.chance(0.5):
        dialogue.spoken[-1] = replace(last, text=f"{last.text} {told}", nats=0.0)
    else:
        dialogue.say(dice.pick(people[1:]).name, told)


def _answer(dice: Dice, dialogue: Dialogue, viewer: Talker, plant: _Plant) -> None:
    meter = Meter(dice)
    meter.start()
    text = dressed(dice, viewer.traits, secret.recalled(plant.noun, plant.word), None)
    plan = f"They ask for the {plant.noun}. It was {plant.word}."
    answer = Utterance(viewer.name, text, meter.read(), True, plan=plan, skill="recall", expects=plant.word)
    dialogue.spoken.append(answer)


def _turn(
    dice: Dice, dialogue: Dialogue, talker: Talker, viewer: Talker, thread: Thread, known: bool
) -> None:
    speaks = talker is viewer
    if not speaks and thread.author == viewer.name and dice.chance(0.6 if talker.name == "user" else 0.08):
        dialogue.say(talker.name, dice.pick(MORE).format(t=thread.topic.noun))
        return
    cue = dice.pick(tuple(CUES)) if speaks and dialogue.spoken and dice.chance(0.1) else ""
    if cue:
        author = "user" if "user" in dialogue.roster else MODERATOR
        dialogue.say(author, dice.pick(CUES[cue]))
    last = thread.author if thread.author != talker.name and dialogue.spoken else None
    to = last if not speaks or (known and last != "user") else None
    if cue in ("short", "long"):
        talker = replace(talker, traits=with_value(talker.traits, "verbosity", cue))
    meter = Meter(dice)
    meter.start()
    if cue == "sum":
        text = summary(dice, talker, thread, side_taken(talker, thread))
    else:
        begins = not dialogue.spoken or dialogue.spoken[-1].text in HELLOS
        text = opinion(dice, talker, thread, to, begins=begins)
    dialogue.spoken.append(Utterance(talker.name, text, meter.read(), taught=speaks, plan=thread.plan))


def topic_about(noun: str) -> Topic:
    """The topic that people call `noun`; a KeyError otherwise."""
    return {topic.noun: topic for topic in topics()}[noun]
