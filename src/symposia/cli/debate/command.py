"""`symposia debate`: hold one debate, keep it if asked, print the answer alone."""

from __future__ import annotations

from symposia.cli.exits import terminable
from symposia.cli.world import guarded, this_world

from .options import DebateOptions


def debate(asked: DebateOptions) -> int:
    """Put a question to a team of specialists; the answer is one seat's own words, on stdout."""
    from .sitting import sit

    world = this_world()

    def held() -> int:
        with terminable():
            return sit(asked, world)

    return guarded(world, held)
