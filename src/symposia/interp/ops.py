"""What an intervention writes at one layer, and the two operations of this engine as plain arithmetic.

Axes: W written tokens, D residual width, k rank. Everything in the working dtype (fp32; fp64 for fp64 models).
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import torch
from torch import Tensor

from symposia.core.errors import InvalidIntervention, UnsupportedRequest
from symposia.core.intervention import Ablate, Add, Intervention
from symposia.core.positions import speaking

from .vector import SteeringVector


@dataclass(frozen=True)
class AddTerm:
    """h + coefficient·v̂, times ‖h‖ when `relative`. `source` names the direction: digest and file layer."""

    coefficient: float
    relative: bool
    unit_D: Tensor
    source: tuple[str, int]


@dataclass(frozen=True, eq=False)
class AblateTerm:
    """h - strength·QᵀQh with orthonormal rows Q."""

    strength: float
    basis_kD: Tensor


Term = AddTerm | AblateTerm


def terms_of(intervention: Intervention, vector: SteeringVector, layers: tuple[int, ...]) -> dict[int, Term]:
    """The term at each layer. Raises for a unit, operation or layer the file cannot serve."""
    weights = intervention.weights or (1.0,) * len(layers)
    return {layer: _term(intervention, vector, layer, w) for layer, w in zip(layers, weights, strict=True)}


def ablated(h_WD: Tensor, term: AblateTerm, basis_kD: Tensor) -> Tensor:
    """h less `strength` of its part in the subspace."""
    return h_WD - term.strength * ((h_WD @ basis_kD.T) @ basis_kD)


def identity(
    intervention: Intervention, digest: str, layers: tuple[int, ...], blind: int | None
) -> tuple[object, ...]:
    """What a write does to later keys and values: everything but where it applies, its name, and layer `blind`."""
    weights = intervention.weights or (1.0,) * len(layers)
    seen = tuple((layer, w) for layer, w in zip(layers, weights, strict=True) if layer != blind)
    bare = msgspec.structs.replace(
        intervention,
        vector=digest,
        layers=(),
        weights=(),
        where=speaking(),
        name="",
        may_miss=False,
        foreign=False,
    )
    return (msgspec.json.encode(bare), seen) if seen else ()


def _term(intervention: Intervention, vector: SteeringVector, layer: int, weight: float) -> Term:
    source = layer if intervention.direction_from is None else intervention.direction_from
    if source not in vector.directions:
        raise InvalidIntervention(
            f"vector {vector.header.name!r} has no direction for layer {source}; it has {list(vector.layers)}; "
            "name those, or choose one for all layers with direction_from"
        )
    direction = vector.directions[source]
    match intervention:
        case Add():
            if direction.dim() != 1:
                raise InvalidIntervention(
                    f"add needs a direction; vector {vector.header.name!r} is a {vector.header.kind}"
                )
            unit = _unit(intervention, vector, source, layer)
            return AddTerm(
                intervention.scale * weight * unit,
                intervention.unit == "relative",
                direction,
                (vector.digest, source),
            )
        case Ablate():
            rows_kD = torch.linalg.qr(direction.reshape(-1, direction.shape[-1]).double().T).Q.T
            return AblateTerm(intervention.strength, rows_kD)
        case _:
            raise AssertionError(f"{type(intervention).__name__} was refused before")


def _unit(intervention: Add, vector: SteeringVector, source: int, layer: int) -> float:
    notes = vector.header.layers.get(str(layer))
    match intervention.unit:
        case "absolute" | "relative":
            return 1.0
        case "fitted":
            known, way_out = vector.notes(source).fitted_norm, "give scale in unit='absolute'"
        case "reference":
            known, way_out = notes.reference_norm if notes else None, "fit it with `symposia vector fit`"
        case "calibrated":
            known, way_out = None, "calibrate it with `symposia vector calibrate`"
    if known is None:
        raise UnsupportedRequest(
            endpoint="engine",
            model=vector.header.model.name,
            feature=f"unit={intervention.unit}",
            why=f"vector {vector.header.name!r} has no {intervention.unit} norm at layer {layer}",
            way_out=way_out,
        )
    return known
