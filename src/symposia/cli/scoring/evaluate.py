"""`symposia debate-eval`: methods side by side, from flags to a folder of results."""

from __future__ import annotations

from symposia.cli.exits import terminable
from symposia.cli.world import guarded, this_world

from .options import EvalOptions


def debate_eval(asked: EvalOptions) -> int:
    """Debate beside baselines of equal calls and equal tokens, on questions with one right answer.

    With --out, everything asked of a model is kept: the same command goes on where it was stopped.
    """
    from .evaluation import evaluation

    world = this_world(quiet=asked.quiet)

    def scored() -> int:
        with terminable():
            return evaluation(asked, world)

    return guarded(world, scored)
