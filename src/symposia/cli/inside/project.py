"""`symposia lens project`: where on a direction each token of a conversation lies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from symposia.cli.world import World, guarded, this_world

from .reading import AS, FILE, HTML, JSON, MODEL, WHERE, positions, read, told, told_token, written

if TYPE_CHECKING:
    from symposia.core.capture import Capture


@dataclass(frozen=True)
class ProjectOptions:
    """The flags of `symposia lens project`."""

    file: FILE
    model: MODEL
    vector: Annotated[
        list[str], typer.Option("--vector", metavar="F", help="A vector file or digest; may be repeated.")
    ]
    layer: Annotated[
        list[int] | None,
        typer.Option("--layer", metavar="L", help="By default the file's middle one; may be repeated."),
    ] = None
    measure: Annotated[
        Literal["projection", "cosine", "zscore"], typer.Option("--measure", help="What is read.")
    ] = "projection"
    as_: AS = None
    where: WHERE = None
    json: JSON = False
    html: HTML = None


def project(asked: ProjectOptions) -> int:
    """Projection, cosine or z-score of every token's residual on named directions."""
    world = this_world()
    return guarded(world, lambda: _project(asked, world))


def _project(asked: ProjectOptions, world: World) -> int:
    from symposia.cli.steering import vector_digest
    from symposia.core.positions import everything
    from symposia.facade import engines
    from symposia.interp import heat, lens

    captures: list[Capture] = []
    for name in asked.vector:
        digest = vector_digest(name)
        known = engines().library.find(digest).layers
        layers = tuple(asked.layer or (known[len(known) // 2],))
        short = Path(name).stem if Path(name).is_file() else name[:15]
        captures += lens.project(
            {short: digest}, positions(asked.where, everything()), layers=layers, measure=asked.measure
        )
    engine, done = read(asked.file, asked.model, asked.as_, captures)
    found = lens.projections(done, engine)
    if asked.html is not None:
        written(world, asked.html, heat.of_tokens(found, next(iter(found.columns))))
    if asked.json:
        rows = [
            {**told_token(t), **{name: values[i] for name, values in found.columns.items()}}
            for i, t in enumerate(found.tokens)
        ]
        told(world, {"model": engine.address, "tokens": rows, "means": found.means("author")})
        return 0
    world.out.line(str(found))
    world.out.line()
    for author, means in found.means("author").items():
        numbers = ", ".join(f"{name} {value:.3f}" for name, value in means.items())
        world.out.line(f"{author or 'markup'}: {numbers}")
    return 0
