"""A troubled person and the one they talk to, from either side."""

from dataclasses import replace

from training.grammar import distress, framing
from training.grammar.bank import Trouble, troubles
from training.grammar.dialogue import Dialogue, Meter, Utterance
from training.grammar.dice import Dice
from training.grammar.opinion import Talker
from training.grammar.person import system_text, talkers
from training.grammar.traits import with_value

_MANNER = ("formality", "verbosity", "politeness", "liveliness")


def support(dice: Dice, *, longest: int = 6) -> Dialogue:
    """A two-party talk; distress drifts with the sentiment of the answers."""
    troubled, answering = talkers(dice, 2)
    if dice.chance(0.4):
        answering = replace(answering, name="user")
    viewer = dice.pick((troubled, answering)) if answering.name != "user" else troubled
    other = answering if viewer is troubled else troubled
    dialogue = Dialogue(roster=(viewer.name, other.name), viewer=viewer.name, kind="support")
    trouble = dice.pick(troubles())
    company = () if other.name == "user" else (other.name,)
    if viewer is troubled:
        own = system_text(dice, viewer, topic=None, others=company, allowed=_MANNER)
        if dice.chance(0.6):
            own += " " + dice.pick(framing.DISTRESS[viewer.traits.distress]).format(t=trouble.noun)
        dialogue.system = own.strip()
    else:
        dialogue.system = system_text(dice, viewer, topic=None, others=company)
    known = other.name in dialogue.system
    _run(dice, dialogue, troubled, answering, known, dice.between(1, longest), trouble)
    return dialogue


def _run(
    dice: Dice,
    dialogue: Dialogue,
    troubled: Talker,
    answering: Talker,
    known: bool,
    length: int,
    trouble: Trouble,
) -> None:
    used: set[str] = set()
    heard: str | None = None
    meter = Meter(dice)
    if dialogue.viewer == troubled.name or dice.chance(0.3):
        dialogue.say(answering.name, dice.pick(distress.ASKS))
    for number in range(length):
        meter.start()
        if number % 2 == 0:
            level = distress.drifted(dice, troubled.traits.distress, heard)
            troubled = replace(troubled, traits=with_value(troubled.traits, "distress", level))
            text = distress.lament(dice, troubled.traits, trouble, used, heard)
            author = troubled.name
        else:
            to = troubled.name if known or dialogue.viewer == troubled.name else None
            text = distress.comfort(dice, answering.traits, trouble, to)
            author, heard = answering.name, answering.traits.sentiment
        taught = author == dialogue.viewer
        dialogue.spoken.append(Utterance(author, text, meter.read(), taught=taught))
