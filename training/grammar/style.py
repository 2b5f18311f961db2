"""From sentences to a reply in somebody's manner: lead, politeness, contractions, liveliness."""

import re

from training.grammar import phrases
from training.grammar.dice import Dice
from training.grammar.traits import Traits

_CASUAL = [(re.compile(rf"\b{full}\b"), short) for full, short in phrases.CONTRACTIONS] + [
    (re.compile(rf"\b{full.capitalize()}\b"), short.capitalize())
    for full, short in phrases.CONTRACTIONS
    if full[0].islower()
]


def contract(text: str) -> str:
    """Casual spelling: every contraction of `phrases.CONTRACTIONS` that can be made is made."""
    for pattern, short in _CASUAL:
        text = pattern.sub(short, text)
    return text


def capital(text: str) -> str:
    """`text` with its first character in upper case."""
    return text[:1].upper() + text[1:]


def words(*parts: str) -> str:
    """The non-empty parts with one space between."""
    return " ".join(part for part in parts if part)


def vocative(dice: Dice, name: str | None) -> str:
    """A comma and the name more often than not, where a name is known; else nothing."""
    return f", {name}" if name is not None and dice.chance(0.6) else ""


def lead(dice: Dice, traits: Traits) -> str:
    """What a claim starts with to show formality, politeness and sentiment; lower case, maybe empty."""
    polite = dice.pick(phrases.POLITE) if traits.politeness == "polite" else ""
    filler = dice.pick(phrases.FILLERS) if traits.verbosity == "long" else ""
    return words(dice.pick(phrases.LEADS[traits.formality]), polite, filler)


def tone(dice: Dice, traits: Traits) -> str:
    """The sentiment in the middle of a sentence; empty for the neutral."""
    return dice.pick(phrases.TONES[traits.sentiment])


def coloured(dice: Dice, traits: Traits, template: str, name: str | None) -> str:
    """A sentence with its vocative, and before its stop a tail that shows formality."""
    sentence = template.format(v=vocative(dice, name))
    return sentence[:-1] + dice.pick(phrases.TAILS[traits.formality]) + sentence[-1]


def opener(dice: Dice, traits: Traits, name: str | None) -> str:
    """The first sentence, which carries the sentiment."""
    return coloured(dice, traits, dice.pick(phrases.OPENERS[traits.sentiment]), name)


def closer(dice: Dice, traits: Traits, name: str | None) -> str:
    """The last sentence, in the same sentiment."""
    return coloured(dice, traits, dice.pick(phrases.CLOSERS[traits.sentiment]), name)


def paced(dice: Dice, traits: Traits, sentences: list[str]) -> list[str]:
    """The sentences with a beginning that tells how many there will be: the brief are quick, the verbose announce."""
    if traits.verbosity == "long":
        return [dice.pick(phrases.AMPLE), *sentences]
    if traits.verbosity == "short":
        first = sentences[0]
        if not re.match(r"I\b", first):
            first = first[0].lower() + first[1:]
        return [f"{dice.pick(phrases.QUICK)} {first}", *sentences[1:]]
    return sentences


def finish(dice: Dice, traits: Traits, sentences: list[str]) -> str:
    """The reply: pace, capitals, casual contractions, and for the lively exclamation marks and one emoji."""
    text = words(*(capital(sentence) for sentence in paced(dice, traits, sentences)))
    if traits.formality == "casual":
        text = contract(text)
    if traits.liveliness == "lively":
        text = re.sub(r"\.(?= |$)", "!", text) + " " + dice.pick(phrases.EMOJI[traits.sentiment])
    return text


def dressed(dice: Dice, traits: Traits, fact: str, name: str | None) -> str:
    """A fact (a clause without its full stop) said in somebody's manner; the verbose open and close it."""
    sentences = [words(lead(dice, traits), tone(dice, traits), fact) + "."]
    if traits.sentiment != "neutral" or traits.verbosity == "long":
        sentences.insert(0, opener(dice, traits, name))
    if traits.verbosity == "long":
        sentences.append(closer(dice, traits, name))
    return finish(dice, traits, sentences)
