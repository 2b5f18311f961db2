"""`symposia lens drift`: how far each turn of a stored conversation lies from where its speaker began."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from .exits import DONE, FINDINGS
from .world import World, guarded, this_world

if TYPE_CHECKING:
    from symposia.core.capture import Capture
    from symposia.core.drift import DriftMeter, FirstTurns, Normal
    from symposia.core.transcript import Transcript


@dataclass(frozen=True)
class DriftOptions:
    """The flags of `symposia lens drift`."""

    file: Annotated[
        Path,
        typer.Argument(
            metavar="RUN",
            help="conversation.json, transcript.json, or a run's folder, read out while it was made.",
        ),
    ]
    first: Annotated[
        int, typer.Option("--first", metavar="N", help="Each speaker's first N turns are the reference.")
    ] = 3
    vector: Annotated[
        list[Path] | None,
        typer.Option("--vector", metavar="FILE", help="Hold turns against what a vector was fitted on."),
    ] = None
    limit: Annotated[float, typer.Option("--limit", help="Standard deviations that are too far.")] = 3.0
    json: Annotated[bool, typer.Option("--json", help="For programs.")] = False


def drift(asked: DriftOptions) -> int:
    """Each turn's mean projection and its distance from the reference; exit 1 if a turn went past the limit."""
    world = this_world()
    return guarded(world, lambda: _drift(asked, world))


def _drift(asked: DriftOptions, world: World) -> int:
    from symposia.core.drift import crossings
    from symposia.core.drift import drift as measured

    from .stored import transcript_of

    transcript = transcript_of(asked.file)
    meter = _meter(asked, transcript)
    turns, past = measured(transcript, meter), crossings(transcript, meter)
    if asked.json:
        from symposia.core.value import canonical

        world.out.piece(canonical({"meter": meter, "turns": turns, "crossed": past}).decode() + "\n")
    else:
        from .table import Table

        table = Table(("turn", "speaker", "direction", "layer", "tokens", "mean", "z"), left=3)
        for one in turns:
            z = "" if one.z is None else f"{one.z:+.1f}"
            place = (one.name, str(one.layer), str(one.tokens), f"{one.mean:.3f}", z)
            table.row(str(one.turn), one.speaker, *place, style="bold red" if one in past else "")
        table.print(world.out)
        world.out.line(f"{len(past)} crossed {asked.limit:g} standard deviations")
    return FINDINGS if past else DONE


def _meter(asked: DriftOptions, transcript: Transcript) -> DriftMeter:
    from symposia.core.drift import DriftMeter, FirstTurns
    from symposia.core.errors import InvalidInput
    from symposia.core.value import checked

    captures = _projections(transcript)
    if not captures:
        raise InvalidInput(
            f"{asked.file}: no turn was read out; run it inside `conversation.capture(*meter.captures)`"
        )
    reference: tuple[Normal, ...] | FirstTurns = FirstTurns(asked.first)
    if asked.vector:
        captures, reference = _fitted(asked.vector, captures)
    return checked(DriftMeter(captures=captures, reference=reference, limit=asked.limit))


def _projections(transcript: Transcript) -> tuple[Capture, ...]:
    """Every projection that a turn asked for, a layer each, in order of first use."""
    from symposia.core.capture import Project

    asked = (c for m in transcript if m.provenance for c in m.provenance.asked.captures)
    single = (
        msgspec.structs.replace(capture, layers=(layer,))
        for capture in asked
        if isinstance(capture.reduce, Project)
        for layer in capture.layers
    )
    return tuple(dict.fromkeys(single))


def _fitted(
    files: list[Path], captures: tuple[Capture, ...]
) -> tuple[tuple[Capture, ...], tuple[Normal, ...]]:
    """The captures that these vector files speak of, each with its reference."""
    from symposia.core.capture import Project
    from symposia.core.errors import InvalidInput
    from symposia.interp.drift import known
    from symposia.interp.vector import load_vector

    vectors = {vector.digest: vector for vector in map(load_vector, files)}
    chosen = tuple(c for c in captures if isinstance(c.reduce, Project) and c.reduce.vector in vectors)
    if not chosen:
        raise InvalidInput(f"none of {', '.join(map(str, files))} is a vector this conversation was read by")
    return chosen, tuple(
        known(vectors[c.reduce.vector], c.layers[0]) for c in chosen if isinstance(c.reduce, Project)
    )
