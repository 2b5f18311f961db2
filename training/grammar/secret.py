"""A word planted early and asked for later: recall that only copying from the context can answer."""

from training.grammar.bank import words
from training.grammar.dice import Dice

NOUNS = ("secret word", "code word", "password", "magic word")
PLANTS = (
    "The {n} is {w}.",
    "Remember this: the {n} is {w}.",
    "By the way, the {n} is {w}.",
    "Please keep in mind that the {n} is {w}.",
    "Do not forget that the {n} is {w}.",
)
QUESTIONS = (
    "What is the {n}?",
    "What was the {n}?",
    "Do you remember the {n}?",
    "Please tell me the {n}.",
    "One more thing: what is the {n}?",
)
_ONSETS = (*"bdfghjklmnprstvwz", "br", "cl", "dr", "fl", "gr", "pl", "st", "tr")
_VOWELS = ["a", "e", "i", "o", "u", "ai", "ea", "oo"]
_CODAS = ["", "", "n", "l", "r", "m", "x", "sk"]


def invented(dice: Dice, syllables: int) -> str:
    """A pronounceable word that no list holds."""
    return "".join(dice.pick(_ONSETS) + dice.pick(_VOWELS) + dice.pick(_CODAS) for _ in range(syllables))


def secret_word(dice: Dice) -> str:
    """Mostly a common word, otherwise an invented one."""
    return dice.pick(words()) if dice.chance(0.7) else invented(dice, 2)


def planted(dice: Dice, noun: str, word: str) -> str:
    """The sentence that tells the word."""
    return dice.pick(PLANTS).format(n=noun, w=word)


def asked(dice: Dice, noun: str) -> str:
    """The question for it."""
    return dice.pick(QUESTIONS).format(n=noun)


def recalled(noun: str, word: str) -> str:
    """The fact that answers, without its full stop."""
    return f"the {noun} is {word}"
