"""`symposia vector calibrate`: the size of a push at which the next token moves by a stated amount."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from symposia.cli.world import World, guarded, this_world

if TYPE_CHECKING:
    from symposia.interp.vector import SteeringVector


@dataclass(frozen=True)
class CalibrateOptions:
    """The flags of `symposia vector calibrate`."""

    vector: Annotated[Path, typer.Argument(metavar="FILE", help="A vector file with reference norms.")]
    model: Annotated[str, typer.Option("--model", "-m", help="A short name, a Hub id, or a folder.")]
    layers: Annotated[str, typer.Option(metavar="14,15", help="Pushed together; valid for exactly these.")]
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="Where the new file goes.")]
    prompts: Annotated[
        Path | None, typer.Option(metavar="P.jsonl", help="64 or more; everyday questions otherwise.")
    ] = None
    target: Annotated[float, typer.Option(help="95th percentile of the KL of a token, in nats.")] = 1.0
    tokens: Annotated[int, typer.Option(min=1, help="Tokens of each greedy reply.")] = 20
    json: Annotated[bool, typer.Option("--json", help="The calibration, for programs.")] = False


def calibrate(asked: CalibrateOptions) -> int:
    """Add a calibration to a vector file: scale 1 of the unit `calibrated` moves the model by the target."""
    world = this_world()
    return guarded(world, lambda: _calibrate(asked, world))


def _calibrate(asked: CalibrateOptions, world: World) -> int:
    from symposia.core.value import canonical, short
    from symposia.interp.calibrate import CalibrationFailed

    try:
        made = _made(asked, world)
    except CalibrationFailed as error:
        return world.fail(error, generated=True)
    made.save(asked.out)
    known = made.header.calibration
    assert known is not None
    if asked.json:
        told = {"vector": made.digest, "file": str(asked.out), "calibration": known}
        world.out.piece(canonical(told).decode() + "\n")
        return 0
    for side, size in (("plus", known.plus), ("minus", known.minus)):
        sizes = ", ".join(
            f"{size * (made.notes(layer).reference_norm or 0):.3g} at layer {layer}" for layer in known.layers
        )
        world.out.line(f"{side:<6} {size:.3f} reference norms: a push of {sizes}")
    world.out.line(
        f"There the 95th percentile of the KL of a token is {known.target:g} nats, over greedy replies of "
        f"{known.tokens} tokens."
    )
    world.out.line(
        f"{asked.out}: vector {short(made.digest)}, unit 'calibrated' for layers {list(known.layers)}"
    )
    return 0


def _made(asked: CalibrateOptions, world: World) -> SteeringVector:
    from symposia.interp.calibrate import calibrate as calibrate_vector
    from symposia.interp.prompts import load_prompts
    from symposia.interp.vector import load_vector
    from symposia.talk import portal

    from .asked import inside_of, layers_of

    vector = load_vector(asked.vector)
    layers = layers_of(asked.layers)
    with as_file(files(__package__).joinpath("everyday.jsonl")) as everyday:
        prompts = load_prompts(asked.prompts or everyday)
    model = inside_of(asked.model, "vector calibrate")
    world.err.line(f"{len(prompts)} greedy replies a measurement, both signs …", "dim")
    return portal.call(
        calibrate_vector(vector, layers, prompts, model=model, target=asked.target, tokens=asked.tokens)
    )
