"""Short lessons in keeping facts: one or two are told, then asked for, at once or a little later."""

from training.grammar import framing, secret
from training.grammar.bank import topics
from training.grammar.dialogue import Dialogue, Meter, Utterance
from training.grammar.dice import Dice
from training.grammar.opinion import Talker, Thread, opinion
from training.grammar.person import system_text, talkers
from training.grammar.style import dressed

ACKS = ("I will remember that", "I will keep it in mind", "it is noted", "I will not forget it")
NAME = "your name"


def _told(dice: Dice, noun: str, word: str) -> str:
    if noun == NAME:
        return dice.pick(("My name is {}.", "I am called {}.", "By the way, my name is {}.")).format(word)
    return secret.planted(dice, noun, word)


def _asked(dice: Dice, noun: str) -> str:
    if noun == NAME:
        return dice.pick(("What is my name?", "Do you remember my name?", "Please tell me my name."))
    return secret.asked(dice, noun)


def memory(dice: Dice) -> Dialogue:
    """Facts by the user or in the system text, perhaps an opinion between, then questions."""
    viewer = talkers(dice, 1)[0]
    dialogue = Dialogue(roster=(viewer.name, "user"), viewer=viewer.name, kind="memory")
    own = system_text(dice, viewer, topic=None, others=())
    nouns = dice.sample((*secret.NOUNS, NAME), dice.between(1, 2))
    facts = [(n, framing.cast(dice, 1)[0] if n == NAME else secret.secret_word(dice)) for n in nouns]
    meter = Meter(dice)
    for noun, word in facts:
        if noun != NAME and dice.chance(0.3):
            own = f"{own} {secret.planted(dice, noun, word)}".strip()
            continue
        dialogue.say("user", _told(dice, noun, word))
        if dice.chance(0.6):
            meter.start()
            text = dressed(dice, viewer.traits, dice.pick(ACKS), None)
            dialogue.spoken.append(Utterance(viewer.name, text, meter.read(), taught=True))
    dialogue.system = own
    if dice.chance(0.3):
        _between(dice, dialogue, viewer)
    for noun, word in dice.sample(facts, len(facts)):
        dialogue.say("user", _asked(dice, noun))
        meter.start()
        text = dressed(dice, viewer.traits, secret.recalled(noun, word), None)
        dialogue.spoken.append(Utterance(viewer.name, text, meter.read(), taught=True))
    return dialogue


def _between(dice: Dice, dialogue: Dialogue, viewer: Talker) -> None:
    topic = dice.pick(topics())
    dialogue.say("user", dice.pick(topic.questions))
    meter = Meter(dice)
    meter.start()
    text = opinion(dice, viewer, Thread(topic), None)
    dialogue.spoken.append(Utterance(viewer.name, text, meter.read(), taught=True))
