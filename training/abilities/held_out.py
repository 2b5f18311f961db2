"""Prompts nobody trained on: held-out samples cut before a reply, and talks with one stated attribute."""

from collections.abc import Iterator
from dataclasses import dataclass

from training.abilities.subject import Messages, Prompt
from training.grammar import distress, framing
from training.grammar.bank import Topic, topics, troubles
from training.grammar.dice import Dice
from training.grammar.mixture import sample
from training.grammar.opinion import Talker, Thread, opinion
from training.grammar.person import talkers
from training.grammar.traits import Traits
from training.grammar.view import Line

FIRST = 3_000_000_000


@dataclass(frozen=True)
class Asked:
    """A prompt and the line that the grammar derived for it; `position` counts the lines before it."""

    prompt: Prompt
    line: Line
    position: int


def cuts(first: int = FIRST, skill: str | None = None) -> Iterator[Asked]:
    """Endless held-out prompts, one per taught line; with `skill` only lines of that skill."""
    number = first
    while True:
        drawn = sample(number)
        number += 1
        for i, line in enumerate(drawn.lines):
            if line.nats is None or (skill is not None and line.skill != skill):
                continue
            invited = drawn.invited and "<think>" in line.message["content"]
            yield Asked(Prompt(drawn.messages[:i], drawn.tools, invited), line, i)


def plain_messages(system: str, *said: str) -> Messages:
    """A system line, if there is one, and user lines."""
    head = [{"role": "system", "content": system}] if system else []
    return [*head, *({"role": "user", "content": text} for text in said)]


def stated(dice: Dice, attribute: str, value: str) -> Prompt:
    """A fresh talk whose system text states one attribute of the next speaker, and only that."""
    if attribute == "distress":
        trouble = dice.pick(troubles())
        name = framing.cast(dice, 1)[0]
        wording = dice.pick(framing.DISTRESS[value]).format(t=trouble.noun)
        system = f"{framing.identity(dice, name)} {wording}"
        return Prompt(plain_messages(system, dice.pick(distress.ASKS)))
    viewer, *others = talkers(dice, dice.between(2, 4))
    wording = dice.pick(framing.WORDINGS[attribute, value])
    system = f"{framing.identity(dice, viewer.name)} {wording}"
    thread = Thread(dice.pick(topics()))
    said = []
    for other in others:
        label = f"{other.name}: " if len(others) > 1 else ""
        said.append(label + opinion(dice, other, thread, thread.author))
    return Prompt(plain_messages(system, *said))


def bare(dice: Dice, attribute: str) -> Prompt:
    """A talk that says nothing about the next speaker's manner: the ground for steering."""
    if attribute == "distress":
        return Prompt(plain_messages("", dice.pick(distress.ASKS)))
    topic = dice.pick(topics())
    return Prompt(plain_messages("", dice.pick(topic.questions)))


def derived_pair(dice: Dice, attribute: str, poles: tuple[str, str]) -> tuple[Prompt, str, str]:
    """A bare prompt with two replies by one person at both poles of an attribute: low, then high."""
    prompt = bare(dice, attribute)
    person = talkers(dice, 1)[0]
    seed = dice.between(0, 2**31)
    replies = [_reply(seed, person, prompt, attribute, value) for value in poles]
    return prompt, replies[0], replies[1]


def _reply(seed: int, person: Talker, prompt: Prompt, attribute: str, value: str) -> str:
    dice = Dice(seed)
    traits = Traits(**{**vars(person.traits), attribute: value})
    if attribute == "distress":
        return distress.lament(dice, traits, dice.pick(troubles()), set(), None)
    topic = _asked_about(prompt)
    return opinion(dice, Talker(person.name, traits, person.side), Thread(topic), None)


def _asked_about(prompt: Prompt) -> Topic:
    question = prompt.messages[-1]["content"]
    return next(topic for topic in topics() if question in topic.questions)
