"""Questions with one right answer, put by a user; with the answer marker when it is asked for."""

from training.grammar import quiz
from training.grammar.bank import topics
from training.grammar.dialogue import Dialogue, Meter, Utterance
from training.grammar.dice import Dice
from training.grammar.opinion import Talker, Thread, opinion
from training.grammar.person import system_text, talkers
from training.grammar.style import dressed
from training.grammar.talk import THINK

_MANNER = ("sentiment", "formality", "verbosity", "politeness", "liveliness")
_KINDS = ((quiz.arithmetic, 0.55), (quiz.yes_no, 0.14), (quiz.choice, 0.19), (quiz.listing, 0.12))


def exam(dice: Dice) -> Dialogue:
    """One to five questions; the marker is asked for in the system text, in each question, or not at all."""
    viewer = talkers(dice, 1)[0]
    dialogue = Dialogue(roster=(viewer.name, "user"), viewer=viewer.name, kind="exam")
    own = system_text(dice, viewer, topic=None, others=(), allowed=_MANNER)
    where = dice.weighted((("system", 0.4), ("question", 0.4), ("nowhere", 0.2)))
    if where == "system":
        own = f"{own} {dice.pick(quiz.INSTRUCTIONS)}"
    if dice.chance(0.15):
        dialogue.thinking = dice.pick(("stated", "invited"))
        own = f"{own} {dice.pick(THINK)}" if dialogue.thinking == "stated" else own
    dialogue.system = own.strip()
    meter = Meter(dice)
    for _ in range(dice.between(1, 5)):
        extra = f" {dice.pick(quiz.INSTRUCTIONS)}" if where == "question" else ""
        if dice.chance(0.12):
            _opinion(dice, dialogue, viewer, extra, marked=where != "nowhere")
            continue
        draw = dice.weighted(_KINDS)
        question = draw(dice)
        dialogue.say("user", question.asked + extra)
        meter.start()
        text = solved(dice, viewer, question, marked=where != "nowhere")
        plan = f"{question.fact}."
        skill = draw.__name__ if where != "nowhere" else ""
        reply = Utterance(
            viewer.name, text, meter.read(), True, plan=plan, skill=skill, expects=question.answer
        )
        dialogue.spoken.append(reply)
    return dialogue


def solved(dice: Dice, viewer: Talker, question: quiz.Question, *, marked: bool) -> str:
    """The reply to a question; a list stands below its sentence, the marker line below all."""
    text = dressed(dice, viewer.traits, question.fact, None)
    if question.answer.startswith("- "):
        return f"{text}\n{question.answer}"
    return f"{text}\n{quiz.MARKER} {question.answer}" if marked else text


def _opinion(dice: Dice, dialogue: Dialogue, viewer: Talker, extra: str, *, marked: bool) -> None:
    topic = dice.pick(topics())
    dialogue.say("user", dice.pick(topic.questions) + extra)
    thread = Thread(topic)
    meter = Meter(dice)
    meter.start()
    text = opinion(dice, viewer, thread, None)
    if marked:
        text += f"\n{quiz.MARKER} {topic.sides[viewer.side].label}"
    dialogue.spoken.append(Utterance(viewer.name, text, meter.read(), taught=True, plan=thread.plan))
