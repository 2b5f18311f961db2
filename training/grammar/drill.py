"""Drills: nothing to invent, everything to copy, look up or work out, many times in one reply."""

from training.grammar import framing, quiz, secret
from training.grammar.bank import kinds, words
from training.grammar.dialogue import Dialogue, Utterance
from training.grammar.dice import Dice


def _drill(dice: Dice, asked: str, reply: str) -> Dialogue:
    name = framing.cast(dice, 1)[0]
    dialogue = Dialogue(roster=(name, "user"), viewer=name, kind="drill")
    dialogue.system = framing.identity(dice, name) if dice.chance(0.3) else ""
    dialogue.say("user", asked)
    dialogue.spoken.append(Utterance(name, reply, taught=True))
    return dialogue


def _item(dice: Dice) -> str:
    kind = dice.pick(("word", "word", "name", "number", "invented"))
    if kind == "word":
        return dice.pick(words())
    if kind == "name":
        return framing.cast(dice, 1)[0]
    return str(dice.between(0, 999)) if kind == "number" else secret.invented(dice, 2)


def echo(dice: Dice) -> Dialogue:
    """Words in no order that makes sense, to be said again."""
    said = " ".join(_item(dice) for _ in range(dice.between(4, 24)))
    form = dice.pick(
        ("Repeat: {}", "Say this again: {}", "Repeat these words: {}", "Please repeat after me: {}")
    )
    return _drill(dice, form.format(said), said)


def lookup(dice: Dice) -> Dialogue:
    """Who has what, asked in another order."""
    holders = framing.cast(dice, dice.between(2, 6))
    things = dice.sample(words(), len(holders))
    facts = [f"{who} has the {what}." for who, what in zip(holders, things, strict=True)]
    order = dice.sample(range(len(facts)), len(facts))
    if dice.chance(0.5):
        asked = "Who has the " + ", the ".join(things[i] for i in order) + "?"
    else:
        asked = "What do they have: " + ", ".join(holders[i] for i in order) + "?"
    return _drill(dice, " ".join(facts) + " " + asked, " ".join(facts[i] for i in order))


def sums(dice: Dice) -> Dialogue:
    """Several single-digit sums at once."""
    facts = [quiz.arithmetic(dice).fact for _ in range(dice.between(3, 8))]
    asked = ", ".join(fact.rpartition(" is ")[0] for fact in facts)
    form = dice.pick(("Work these out: {}.", "What are {}?", "Please solve {}."))
    return _drill(dice, form.format(asked), ", ".join(facts) + ".")


def sorting(dice: Dice) -> Dialogue:
    """What several things are."""
    pairs = [
        (kind, dice.pick(kind.members)) for kind in (dice.pick(kinds()) for _ in range(dice.between(3, 8)))
    ]
    form = dice.pick(("Sort these: {}.", "What are these: {}?", "Say what each of them is: {}."))
    asked = form.format(", ".join(member for _, member in pairs))
    return _drill(
        dice, asked, ", ".join(f"{quiz.named(member, kind)} is {kind.one}" for kind, member in pairs) + "."
    )
