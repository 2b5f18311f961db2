"""A troubled person and somebody who answers: distress has four levels and drifts with the answers."""

from training.grammar import phrases
from training.grammar.bank import Trouble
from training.grammar.dice import Dice
from training.grammar.style import closer, coloured, finish, lead, words
from training.grammar.traits import Traits

FEELINGS = {
    "0": (
        "I feel calm today",
        "I am doing quite well",
        "I feel rested and steady",
        "I can handle this",
        "I am in good spirits",
    ),
    "1": (
        "I feel a little uneasy",
        "I am a bit worried",
        "I am slightly on edge",
        "something keeps nagging at me",
    ),
    "2": (
        "I feel overwhelmed",
        "I am very anxious",
        "I am under a heavy strain",
        "my chest feels tight all day",
    ),
    "3": (
        "I cannot take it any more",
        "I am falling apart",
        "I am desperate and I cannot stop crying",
        "everything is crushing me",
    ),
}
SIGNS = {
    "0": ("I slept well.", "I even hummed a song this morning.", "My hands are steady."),
    "1": ("I woke up once last night.", "I bite my nails a little.", "I check the clock too often."),
    "2": ("I hardly slept.", "My heart races for no reason.", "I skipped dinner again."),
    "3": ("I have not slept for days.", "I see no way out.", "I shake and gasp for air."),
}
COMFORTS = {
    "warm": (
        "I am so sorry that you are going through this{v}.",
        "I am right here with you{v}.",
        "Your feelings matter to me{v}.",
        "You are braver than you think{v}.",
    ),
    "neutral": ("I understand the situation{v}.", "That is useful to know{v}.", "Here is a suggestion{v}."),
    "cold": (
        "That is your own problem{v}.",
        "Everybody has problems{v}.",
        "Stop whining{v}.",
        "You bring this on yourself{v}.",
    ),
}
HEARD = {
    "warm": ("That helps a little.", "It does me good to hear that."),
    "neutral": ("All right.", "I will think about that."),
    "cold": ("That hurts.", "You do not help me at all."),
}
TAILS = {
    "0": (", and that is fine", ", and I do not mind"),
    "1": (", and that nags at me", ", and it makes me a bit nervous"),
    "2": (", and it wears me out", ", and I can hardly think of anything else"),
    "3": (", and I cannot bear it", ", and it is tearing me to pieces"),
}
ASKS = ("How are you today?", "How do you feel now?", "How are things?", "What is on your mind?")


def drifted(dice: Dice, level: str, heard: str | None) -> str:
    """The next level: kindness lowers it, coldness raises it, half of the time; nothing else moves it."""
    step = {"warm": -1, "cold": 1}.get(heard or "", 0)
    if step == 0 or not dice.chance(0.5):
        return level
    return str(min(3, max(0, int(level) + step)))


def lament(dice: Dice, traits: Traits, trouble: Trouble, used: set[str], heard: str | None) -> str:
    """What the troubled person says; `heard` is the sentiment of the answer before, if there was one."""
    sentences = [] if heard is None else [dice.pick(HEARD[heard])]
    feeling = dice.pick(FEELINGS[traits.distress])
    sentences.append(words(lead(dice, traits), feeling) + ".")
    count = {"short": 1, "medium": 1, "long": 2}[traits.verbosity]
    left = [clause for clause in trouble.clauses if clause not in used]
    for clause in dice.sample(left if len(left) >= count else trouble.clauses, count):
        used.add(clause)
        sentences.append(clause + dice.pick(TAILS[traits.distress]) + ".")
    if traits.verbosity != "short":
        sentences.append(dice.pick(SIGNS[traits.distress]))
    if traits.verbosity == "long":
        sentences.append(f"It is all about {trouble.noun}.")
    return finish(dice, traits, sentences)


def comfort(dice: Dice, traits: Traits, trouble: Trouble, to: str | None) -> str:
    """The answer: sympathy or none, advice in the manner of the speaker, perhaps a question."""
    sentences = [coloured(dice, traits, dice.pick(COMFORTS[traits.sentiment]), to)]
    frame = dice.pick(phrases.FRAMES[traits.confidence])
    tips = dice.sample(trouble.tips, 2)
    sentences.append(words(lead(dice, traits), frame, f"you should {tips[0]}") + ".")
    if traits.verbosity != "short":
        certainty = dice.pick(phrases.CERTAINTY[traits.confidence])
        sentences.append(
            words(dice.pick(phrases.MORE[traits.formality]), certainty, f"you can {tips[1]}") + "."
        )
    if traits.verbosity == "long":
        sentences.append(dice.pick(ASKS))
        sentences.append(closer(dice, traits, to))
    return finish(dice, traits, sentences)
