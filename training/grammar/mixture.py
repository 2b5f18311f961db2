"""The mixture of scenes: one number gives one training sample."""

from collections.abc import Callable

from training.grammar.board import board
from training.grammar.dialogue import Dialogue
from training.grammar.dice import Dice
from training.grammar.drill import echo, lookup, sorting, sums
from training.grammar.exam import exam
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
    dice = Dice(seed)
    while True:
        dialogue = dice.weighted(SCENES)(dice)
        taught = [i for i, said in enumerate(dialogue.spoken) if said.taught]
        if taught:
            del dialogue.spoken[taught[-1] + 1 :]
            return view(dialogue, every_thought=dice.chance(0.5))
