"""The mixture of scenes: one number gives one training sample."""

from collections.abc import Callable

from training.grammar.board import board
from training.grammar.dialogue import Dialogue
from training.grammar.dice import Dice
from training.grammar.drill import echo, lookup, sorting, sums
from training.grammar.exam import exam
from training.grammar.lesson import lesson
from training.grammar.memory import memory
from training.grammar.moderated import moderated
from training.grammar.support import support
from training.grammar.talk import talk
from training.grammar.toolcall import toolcall
from training.grammar.view import Sample, view


def long_talk(dice: Dice) -> Dialogue:
    """A talk that fills a long context."""
    return talk(dice, longest=24)


SCENES: tuple[tuple[Callable[[Dice], Dialogue], float], ...] = (
    (talk, 0.48),
    (support, 0.15),
    (exam, 0.14),
    (memory, 0.08),
    (toolcall, 0.07),
    (moderated, 0.04),
    (board, 0.04),
    (long_talk, 0.02),
    (echo, 0.06),
    (lookup, 0.06),
    (sums, 0.05),
    (sorting, 0.05),
)


def sample(seed: int) -> Sample:
    """The sample of this number: a pure function of it. It ends with a reply of the viewer's."""
    return _drawn(Dice(seed), SCENES)


def schooling(seed: int) -> Sample:
    """The sample of this number for the end of training: a lesson more often than not."""
    dice = Dice(seed)
    return _drawn(dice, ((lesson, 1.0),) if dice.chance(0.6) else SCENES)


def _drawn(dice: Dice, scenes: tuple[tuple[Callable[[Dice], Dialogue], float], ...]) -> Sample:
    while True:
        dialogue = dice.weighted(scenes)(dice)
        taught = [i for i, said in enumerate(dialogue.spoken) if said.taught]
        if taught:
            del dialogue.spoken[taught[-1] + 1 :]
            return view(dialogue, every_thought=dice.chance(0.5))
