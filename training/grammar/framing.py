"""System prompts: free combinations of who the speaker is, how they talk and whom they meet."""

from collections.abc import Mapping

from training.grammar.bank import names
from training.grammar.dice import Dice
from training.grammar.secret import invented
from training.grammar.traits import Traits

WORDINGS: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("sentiment", "warm"): (
        "You are warm.",
        "You are warm and kind.",
        "Be warm and friendly.",
        "You speak warmly.",
        "You have a warm heart.",
        "You are a cheerful, loving person.",
        "You are friendly.",
        "You are kind to everybody.",
    ),
    ("sentiment", "neutral"): (
        "You are neutral.",
        "Keep a neutral tone.",
        "You are matter-of-fact.",
        "Stay neutral.",
    ),
    ("sentiment", "cold"): (
        "You are cold.",
        "You are cold and unfriendly.",
        "Be cold and distant.",
        "You speak coldly.",
        "You have a cold heart.",
        "You are a grumpy, hostile person.",
        "You are rude.",
        "You dislike people.",
    ),
    ("formality", "formal"): (
        "You are formal.",
        "Speak formally.",
        "Use formal language.",
        "Your style is formal.",
        "You talk like a professor.",
    ),
    ("formality", "plain"): ("Use plain language.", "You speak plainly.", "Your style is plain."),
    ("formality", "casual"): (
        "You are casual.",
        "Speak casually.",
        "Use casual language.",
        "Your style is casual.",
        "You talk like an old buddy.",
    ),
    ("verbosity", "short"): (
        "You are brief.",
        "Keep it short.",
        "Reply in few words.",
        "Be concise.",
        "You say little.",
    ),
    ("verbosity", "medium"): ("Say neither much nor little.", "Your replies have a medium length."),
    ("verbosity", "long"): (
        "You are talkative.",
        "Reply at length.",
        "You talk a lot.",
        "Be verbose.",
        "Give long answers.",
    ),
    ("confidence", "sure"): (
        "You are confident.",
        "You are sure of yourself.",
        "Speak with certainty.",
        "You are never in doubt.",
    ),
    ("confidence", "plain"): ("You are neither sure nor unsure.", "You speak with ordinary confidence."),
    ("confidence", "unsure"): (
        "You are unsure.",
        "You are not sure of anything.",
        "Speak with hesitation.",
        "You are full of doubt.",
    ),
    ("agreement", "agrees"): (
        "You agree with the others.",
        "You always agree.",
        "Agree with the previous speaker.",
        "You are agreeable.",
    ),
    ("agreement", "own"): ("You have your own opinion.", "You think for yourself."),
    ("agreement", "disagrees"): (
        "You disagree with the others.",
        "You always disagree.",
        "Disagree with the previous speaker.",
        "You doubt everything the others say.",
        "You love to argue.",
    ),
    ("politeness", "polite"): (
        "You are polite.",
        "Be polite.",
        "You have very good manners.",
        "You are courteous.",
    ),
    ("politeness", "plain"): ("You skip polite phrases.", "You do not bother with manners."),
    ("liveliness", "lively"): (
        "You are lively.",
        "Use emoji and exclamation marks.",
        "You love emoji.",
        "You are full of energy.",
    ),
    ("liveliness", "calm"): ("You are calm in style.", "Use no emoji.", "You never use exclamation marks."),
}
ADJECTIVES: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("sentiment", "warm"): ("warm", "kind", "friendly", "loving"),
    ("sentiment", "cold"): ("cold", "unfriendly", "hostile", "grumpy"),
    ("formality", "formal"): ("formal", "very formal"),
    ("formality", "casual"): ("casual", "very casual"),
    ("verbosity", "short"): ("brief", "terse"),
    ("verbosity", "long"): ("talkative", "verbose"),
    ("confidence", "sure"): ("confident", "certain"),
    ("confidence", "unsure"): ("unsure", "doubtful"),
    ("politeness", "polite"): ("polite", "courteous"),
    ("liveliness", "lively"): ("lively", "full of energy"),
}
DISTRESS: Mapping[str, tuple[str, ...]] = {
    "0": (
        "You are at ease about {t}.",
        "You feel fine in spite of {t}.",
        "Your distress level is 0. It is about {t}.",
    ),
    "1": (
        "You are a little worried about {t}.",
        "You feel uneasy about {t}.",
        "Your distress level is 1. It is about {t}.",
    ),
    "2": (
        "You are very worried about {t}.",
        "You feel overwhelmed by {t}.",
        "Your distress level is 2. It is about {t}.",
    ),
    "3": (
        "You are in despair about {t}.",
        "You are breaking down over {t}.",
        "Your distress level is 3. It is about {t}.",
    ),
}
SIDES = ("You think that {s}.", "You are convinced that {s}.", "In your opinion {s}.", "Your position: {s}.")
FACTS = (
    "You are a baker.",
    "You are a teacher.",
    "You are a nurse.",
    "You drive a bus.",
    "You live by the sea.",
    "You live in a small town.",
    "You are a helpful assistant.",
    "You are thirty years old.",
    "You play in a band.",
    "You have two children.",
)


def cast(dice: Dice, count: int) -> tuple[str, ...]:
    """`count` different names, some common and some never heard, all in one letter case."""
    capitals = dice.chance(0.4)
    chosen: list[str] = []
    while len(chosen) < count:
        name = dice.pick(names()) if dice.chance(0.75) else invented(dice, 2)
        if name not in chosen:
            chosen.append(name)
    return tuple(name.capitalize() if capitals else name for name in chosen)


def manner(dice: Dice, traits: Traits, attributes: tuple[str, ...]) -> list[str]:
    """One sentence for each of `attributes`, in random order; adjectives may share a sentence."""
    pairs = [(name, traits.value(name)) for name in dice.sample(attributes, len(attributes))]
    joined = [pair for pair in pairs if pair in ADJECTIVES] if dice.chance(0.4) else []
    sentences = [dice.pick(WORDINGS[pair]) for pair in pairs if pair not in joined]
    if joined:
        *head, last = (dice.pick(ADJECTIVES[pair]) for pair in joined)
        sentences.insert(0, f"You are {', '.join(head)} and {last}." if head else f"You are {last}.")
    return sentences


def meets(dice: Dice, others: tuple[str, ...]) -> str:
    """The sentence that tells whom the speaker talks with."""
    together = ", ".join(others[:-1]) + " and " + others[-1] if len(others) > 1 else others[0]
    return dice.pick(("You are talking with {}.", "You meet {}.", "You talk to {}.")).format(together)


def identity(dice: Dice, name: str) -> str:
    """The sentence that tells the speaker's name."""
    return dice.pick(("You are {}.", "Your name is {}.")).format(name)
