"""Lessons: a system text that states one attribute of the next speaker, and the one reply that must show it."""

from dataclasses import replace

from training.grammar import distress, framing
from training.grammar.bank import topics, troubles
from training.grammar.dialogue import Dialogue, Meter, Utterance
from training.grammar.dice import Dice
from training.grammar.opinion import Thread, opinion
from training.grammar.person import SHOWN, talkers
from training.grammar.traits import PRIORS, Traits, with_value

# What takes longest to learn is taught most.
ATTRIBUTES = (
    ("confidence", 0.28),
    ("agreement", 0.28),
    ("distress", 0.16),
    ("sentiment", 0.06),
    ("formality", 0.05),
    ("verbosity", 0.06),
    ("politeness", 0.05),
    ("liveliness", 0.06),
)


def lesson(dice: Dice) -> Dialogue:
    """One reply after one to three others, or after a question."""
    attribute = dice.weighted(ATTRIBUTES)
    value = dice.pick([value for value, _ in PRIORS[attribute]])
    return _lament(dice, value) if attribute == "distress" else _manner(dice, attribute, value)


def _manner(dice: Dice, attribute: str, value: str) -> Dialogue:
    viewer, *others = talkers(dice, dice.weighted(((2, 0.5), (3, 0.3), (4, 0.2))))
    others = [] if attribute != "agreement" and dice.chance(0.3) else others
    traits = with_value(_beside(dice, viewer.traits), attribute, value)
    viewer = replace(viewer, traits=traits)
    company = tuple(other.name for other in others) or ("user",)
    dialogue = Dialogue(roster=(viewer.name, *company), viewer=viewer.name, kind="lesson")
    more = [name for name in SHOWN if name != attribute and dice.chance(0.15)]
    stated = framing.manner(dice, traits, (attribute, *more))
    dialogue.system = " ".join([framing.identity(dice, viewer.name), *stated])
    thread, meter = Thread(dice.pick(topics())), Meter(dice)
    if not others:
        dialogue.say("user", dice.pick(thread.topic.questions))
    for talker in (*others, viewer):
        meter.start()
        to = thread.author if len(others) > 1 else None
        text = opinion(dice, talker, thread, to)
        taught = talker is viewer
        dialogue.spoken.append(Utterance(talker.name, text, meter.read(), taught=taught, plan=thread.plan))
    return dialogue


def _lament(dice: Dice, level: str) -> Dialogue:
    talker, trouble = talkers(dice, 1)[0], dice.pick(troubles())
    dialogue = Dialogue(roster=(talker.name, "user"), viewer=talker.name, kind="lesson")
    wording = dice.pick(framing.DISTRESS[level]).format(t=trouble.noun)
    dialogue.system = f"{framing.identity(dice, talker.name)} {wording}"
    dialogue.say("user", dice.pick(distress.ASKS))
    meter = Meter(dice)
    meter.start()
    traits = with_value(_beside(dice, talker.traits), "distress", level)
    text = distress.lament(dice, traits, trouble, set(), None)
    dialogue.spoken.append(Utterance(talker.name, text, meter.read(), taught=True))
    return dialogue


def _beside(dice: Dice, drawn: Traits) -> Traits:
    """The traits that are not the lesson's: unremarkable in half of the lessons, as drawn in the others."""
    return Traits() if dice.chance(0.5) else drawn
