"""`symposia vector inspect`: what files say of themselves, how they agree, whether they fit a model."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from symposia.cli.exits import DONE, FINDINGS
from symposia.cli.world import World, guarded, this_world

if TYPE_CHECKING:
    from symposia.interp.fitness import Fitness
    from symposia.interp.vector import SteeringVector

_STYLE = {"fits": "green", "note": "yellow", "unfit": "bold red"}


@dataclass(frozen=True)
class InspectOptions:
    """The flags of `symposia vector inspect`."""

    files: Annotated[list[Path], typer.Argument(metavar="F…", help="Vector files.")]
    model: Annotated[
        str,
        typer.Option("--model", "-m", metavar="MODEL", help="Also say whether they fit this local model."),
    ] = ""
    json: Annotated[bool, typer.Option("--json", help="For programs.")] = False


def inspect(asked: InspectOptions) -> int:
    """Show vector files: what they are, layer by layer, how they agree; exit 1 if one does not fit the model."""
    world = this_world()
    return guarded(world, lambda: _inspect(asked, world))


def _inspect(asked: InspectOptions, world: World) -> int:
    from symposia.interp.vector import load_vector

    vectors = [(path, load_vector(path)) for path in asked.files]
    found = _fitness(asked, [vector for _, vector in vectors])
    if asked.json:
        _plain(world, vectors, found)
    else:
        _print(asked, world, vectors, found)
    return FINDINGS if any(one.status == "unfit" for each in found for one in each) else DONE


def _fitness(asked: InspectOptions, vectors: list[SteeringVector]) -> list[tuple[Fitness, ...]]:
    if not asked.model:
        return [() for _ in vectors]
    from symposia.interp.fitness import fitness

    from .asked import engine_of

    engine = engine_of(asked.model, "vector inspect")
    return [fitness(vector, engine.shape, engine.site_map) for vector in vectors]


def _plain(
    world: World, vectors: list[tuple[Path, SteeringVector]], found: list[tuple[Fitness, ...]]
) -> None:
    from symposia.core.value import canonical
    from symposia.interp.fitness import cosines

    from .report import plain

    files = [
        {**plain(vector, path), "fitness": fits} for (path, vector), fits in zip(vectors, found, strict=True)
    ]
    pairs = [
        {"files": [str(a), str(b)], "layers": {str(k): v for k, v in cosines(one, other).items()}}
        for (a, one), (b, other) in combinations(vectors, 2)
    ]
    world.out.piece(canonical({"files": files, "cosines": pairs}).decode() + "\n")


def _print(
    asked: InspectOptions,
    world: World,
    vectors: list[tuple[Path, SteeringVector]],
    found: list[tuple[Fitness, ...]],
) -> None:
    from .report import describe, layers

    for number, ((path, vector), fits) in enumerate(zip(vectors, found, strict=True)):
        if number:
            world.out.line()
        describe(vector, path, world.out)
        for warning in vector.header.warnings:
            world.out.line(f"  {'beware':<11} {warning}", "yellow")
        if vector.header.layers:
            world.out.line()
            layers(vector, world.out)
        if fits:
            world.out.line()
            world.out.line(f"on {asked.model}", "dim")
        for one in fits:
            world.out.line(f"  {one.status:<5} {one.name:<9} {one.why}".rstrip(), _STYLE[one.status])
    if len(vectors) > 1:
        _cosines(world, vectors)


def _cosines(world: World, vectors: list[tuple[Path, SteeringVector]]) -> None:
    from symposia.cli.table import Table
    from symposia.interp.fitness import cosines

    world.out.line()
    world.out.line("cosines, layer by layer", "dim")
    pairs = list(combinations(range(len(vectors)), 2))
    known = {pair: cosines(vectors[pair[0]][1], vectors[pair[1]][1]) for pair in pairs}
    table = Table(("layer", *(f"{a + 1}·{b + 1}" for a, b in pairs)))
    for layer in sorted({layer for by_layer in known.values() for layer in by_layer}):
        cells = (f"{known[pair][layer]:.2f}" if layer in known[pair] else "" for pair in pairs)
        table.row(str(layer), *cells)
    table.print(world.out)
    for number, (path, _) in enumerate(vectors, start=1):
        world.out.line(f"{number}: {path}")
