"""Questions with one right answer: single-digit arithmetic, yes or no, one of several, and lists."""

from dataclasses import dataclass

from training.grammar.bank import Kind, kinds
from training.grammar.dice import Dice

MARKER = "[[ANSWER]]"
INSTRUCTIONS = (
    "End with a line that starts with [[ANSWER]].",
    "Finish with [[ANSWER]] and your answer.",
    "Put your final answer on the last line after [[ANSWER]].",
    "Reply briefly, then write [[ANSWER]] followed by the answer.",
    "The last line must be [[ANSWER]] and the finished answer, nothing after.",
)


@dataclass(frozen=True)
class Question:
    """`asked` as put to the speaker, `fact` a clause that explains, `answer` what stands after the marker."""

    asked: str
    fact: str
    answer: str


def arithmetic(dice: Dice) -> Question:
    """Two single digits and +, - or x; never below zero."""
    a, b = dice.between(0, 9), dice.between(0, 9)
    sign, word = dice.pick((("+", "plus"), ("-", "minus"), ("*", "times")))
    if sign == "-" and b > a:
        a, b = b, a
    result = {"+": a + b, "-": a - b, "*": a * b}[sign]
    spoken = dice.pick((f"{a} {sign} {b}", f"{a} {word} {b}"))
    form = dice.pick(
        ("What is {}?", "How much is {}?", "Please work out {}.", "Tell me what {} is.", "{} = ?")
    )
    return Question(form.format(spoken), f"{spoken} is {result}", str(result))


def yes_no(dice: Dice) -> Question:
    """Whether a thing belongs to a category."""
    kind = dice.pick(kinds())
    truth = dice.chance(0.5)
    other = kind if truth else dice.pick([k for k in kinds() if k is not kind])
    thing = named(dice.pick(other.members), other)
    form = dice.pick(("Is {} {}?", "Yes or no: is {} {}?", "Would you call {} {}?"))
    fact = f"{thing} is {kind.one}" if truth else f"{thing} is {other.one} and not {kind.one}"
    return Question(form.format(thing, kind.one), fact, "yes" if truth else "no")


def choice(dice: Dice) -> Question:
    """Which of three things belongs to a category; the answer is its letter."""
    kind, *others = dice.sample(kinds(), 3)
    right = dice.pick(kind.members)
    options = [right] + [dice.pick(other.members) for other in others]
    options = dice.sample(options, 3)
    letters = "ABC"
    lines = " ".join(f"{letter}) {option}" for letter, option in zip(letters, options, strict=True))
    form = dice.pick(("Which of these is {}? {}", "Choose {}: {}", "Find {}. {}"))
    return Question(
        form.format(kind.one, lines), f"{named(right, kind)} is {kind.one}", letters[options.index(right)]
    )


def listing(dice: Dice) -> Question:
    """Three members of a category; the answer is the list."""
    kind = dice.pick(kinds())
    members = dice.sample(kind.members, 3)
    form = dice.pick(("Name three {}.", "List three {}.", "Give me a list of three {}."))
    return Question(
        form.format(kind.many), f"here are three {kind.many}", "\n".join(f"- {m}" for m in members)
    )


def named(noun: str, kind: Kind) -> str:
    """The noun with a or an; colours go without."""
    if kind.many == "colours":
        return noun
    return ("an " if noun[0] in "aeiou" else "a ") + noun
