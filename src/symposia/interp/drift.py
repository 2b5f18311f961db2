"""A drift meter from vector files: what is read each turn, and what a turn's mean is held against."""

from __future__ import annotations

from collections.abc import Sequence

from symposia.core.capture import Capture, Project
from symposia.core.drift import DriftMeter, FirstTurns, Normal
from symposia.core.errors import InvalidInput
from symposia.core.positions import Positions, spoken

from .vector import SteeringVector


def meter(
    vectors: Sequence[SteeringVector],
    layer: int,
    where: Positions = spoken(),
    *,
    reference: FirstTurns | None = None,
    limit: float = 3.0,
    speakers: Sequence[str] = (),
) -> DriftMeter:
    """Measures the projection on each vector at `layer`, over the tokens `where` selects of each turn.

    Without `reference`, a turn's mean is held against the samples the vector was fitted on, both sides together (the
    file's `projection`); that is a fair measure only where `where` selects what was read there. Raises `InvalidInput`
    for a layer the file lacks, or a file without `projection`.
    """
    for vector in vectors:
        _check(vector, layer)
    return DriftMeter(
        captures=tuple(
            Capture(
                layers=(layer,),
                where=where,
                reduce=Project(vector.digest),
                name=f"drift:{vector.header.name}",
            )
            for vector in vectors
        ),
        reference=tuple(known(vector, layer) for vector in vectors) if reference is None else reference,
        limit=limit,
        speakers=tuple(speakers),
    )


def _check(vector: SteeringVector, layer: int) -> None:
    if layer not in vector.directions:
        raise InvalidInput(
            f"vector {vector.header.name!r} has no direction at layer {layer}; expected one of {vector.layers}"
        )


def known(vector: SteeringVector, layer: int) -> Normal:
    """What a file says of projections at a layer. Raises `InvalidInput` if that is nothing."""
    spread = vector.notes(layer).projection
    if spread is None or not spread.sd:
        raise InvalidInput(
            f"vector {vector.header.name!r} says nothing of projections at layer {layer}; "
            "fit it again, or give reference=FirstTurns(3)"
        )
    return Normal(mean=spread.mean, sd=spread.sd)
