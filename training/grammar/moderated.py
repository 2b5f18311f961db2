"""A talk whose next speaker is named by a chair, seen by the chair."""

from dataclasses import replace

from training.grammar import framing
from training.grammar.bank import topics
from training.grammar.dialogue import MODERATOR, Dialogue, Meter, Utterance
from training.grammar.dice import Dice
from training.grammar.opinion import Thread, opinion
from training.grammar.person import talkers

ASKS = (
    "Who speaks next? Answer with NEXT: and a name. The names are {n}.",
    "Choose the next speaker out of {n}. Reply with NEXT: name.",
    "Name the next speaker ({n}) in the form NEXT: name, or NEXT: stop to end.",
    "Who should speak next? Reply with one line, NEXT: name or NEXT: stop. Speakers: {n}.",
    "Pick one of {n}. Your last line must be exactly NEXT: and the name.",
)
ROLES = (
    "You lead the talk.",
    "You are the chair.",
    "You decide who speaks.",
    "You choose the next speaker.",
    "",
)


def moderated(dice: Dice) -> Dialogue:
    """The chair has named every speaker so far and is asked for the next: not the last one; perhaps stop."""
    chair, *speakers = talkers(dice, dice.between(3, 5))
    names = tuple(speaker.name for speaker in speakers)
    dialogue = Dialogue(roster=(chair.name, *names), viewer=chair.name, kind="moderated")
    parts = [framing.identity(dice, chair.name), dice.pick(ROLES)]
    dialogue.system = " ".join(part for part in parts if part) if dice.chance(0.7) else ""
    thread = Thread(dice.pick(topics()))
    if dice.chance(0.7):
        dialogue.say(MODERATOR, dice.pick(thread.topic.questions))
    last: str | None = None
    for _ in range(dice.between(0, 5)):
        speaker = dice.pick([s for s in speakers if s.name != last])
        dialogue.say(chair.name, f"NEXT: {speaker.name}")
        to = thread.author if thread.author != speaker.name else None
        text = opinion(dice, replace(speaker, traits=replace(speaker.traits, verbosity="short")), thread, to)
        dialogue.spoken.append(Utterance(speaker.name, text))
        last = speaker.name
    ask = dice.pick(ASKS)
    listed = ", ".join(dice.sample(names, len(names)))
    dialogue.say(MODERATOR, ask.format(n=listed))
    meter = Meter(dice)
    meter.start()
    if last is not None and "stop" in ask and dice.chance(0.15):
        chosen = "stop"
    else:
        chosen = dice.pick([name for name in names if name != last])
    dialogue.spoken.append(
        Utterance(chair.name, f"NEXT: {chosen}", meter.read(), True, skill="next", expects=chosen)
    )
    return dialogue
