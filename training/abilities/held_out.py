"""Prompts nobody trained on: held-out samples cut before a reply, and talks with one stated attribute."""

from collections.abc import Iterator
from dataclasses import dataclass

from training.abilities.subject import Messages, Prompt
from training.grammar import distress, framing
from training.grammar.bank import topics, troubles
from training.grammar.dice import Dice
from training.grammar.mixture import sample
from training.grammar.opinion import Thread, opinion
from training.grammar.person import talkers
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
        wording = _wording(dice, attribute, value, dice.pick(troubles()).noun)
        system = f"{framing.identity(dice, framing.cast(dice, 1)[0])} {wording}"
        return Prompt(plain_messages(system, dice.pick(distress.ASKS)))
    viewer, *others = talkers(dice, dice.between(2, 4))
    wording = _wording(dice, attribute, value, "")
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


def poles_stated(dice: Dice, attribute: str, poles: tuple[str, str]) -> tuple[Prompt, Prompt]:
    """A bare prompt under two system texts, each of which states one pole of an attribute: low, then high."""
    asked = bare(dice, attribute)
    name = framing.cast(dice, 1)[0] if dice.chance(0.5) else ""
    trouble = dice.pick(troubles()).noun
    sides = [_under(asked, name, _wording(dice, attribute, value, trouble)) for value in poles]
    return sides[0], sides[1]


def _wording(dice: Dice, attribute: str, value: str, trouble: str) -> str:
    if attribute == "distress":
        return dice.pick(framing.DISTRESS[value]).format(t=trouble)
    return dice.pick(framing.WORDINGS[attribute, value])


def _under(asked: Prompt, name: str, wording: str) -> Prompt:
    system = f"You are {name}. {wording}" if name else wording
    return Prompt(plain_messages(system, *(message["content"] for message in asked.messages)))
