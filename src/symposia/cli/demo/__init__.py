"""`symposia demo`: two speakers on the bundled model, and the same two with one of them steered."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from symposia.cli.world import guarded, this_world


@dataclass(frozen=True)
class DemoOptions:
    """The flags of `symposia demo`."""

    scale: Annotated[
        float | None, typer.Option(help="How far to steer, in class gaps; negative is colder.")
    ] = None
    layer: Annotated[int | None, typer.Option(min=0, help="Where to steer.")] = None
    samples: Annotated[int, typer.Option(min=2, help="First lines drawn to measure the shift on.")] = 12
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Keep the vector and both conversations.")
    ] = None
    json: Annotated[bool, typer.Option("--json", help="The measurements, for programs.")] = False


def demo(asked: DemoOptions) -> int:
    """Fit a direction, steer one speaker by it, and show the difference. No download, no GPU, under a minute."""
    from symposia.cli.exits import terminable

    from .play import play

    world = this_world()

    def work() -> int:
        with terminable():
            return play(asked, world)

    return guarded(world, work)
