"""Directions that should do nothing: random ones, and ones between random halves of the vector's own data.

They carry the vector's norms, so that in every unit a push by them is as long as a push by the vector. Axes: D width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import torch
from torch import Tensor

from symposia.core.errors import InvalidInput
from symposia.interp.contrast import ContrastPair, check_pairs, data_of
from symposia.interp.fit import fit
from symposia.interp.methods import DiffMean
from symposia.interp.metric import Model
from symposia.interp.vector import LayerNotes, SteeringVector


def random_directions(vector: SteeringVector, layers: Sequence[int], seed: int) -> SteeringVector:
    """Isotropic unit directions at these layers."""
    generator = torch.Generator().manual_seed(seed)
    made = {
        layer: torch.nn.functional.normalize(
            torch.randn(vector.directions[layer].shape, generator=generator, dtype=torch.float64), dim=-1
        )
        for layer in layers
    }
    return _like(vector, made, f"random {seed}", {"type": "random", "params": {"seed": seed}})


async def matched_directions(
    vector: SteeringVector,
    layers: Sequence[int],
    pairs: Sequence[ContrastPair],
    seed: int,
    *,
    model: Model,
) -> SteeringVector:
    """The difference of means with the sides of a random half of the pairs swapped, read as the vector was.

    Raises `InvalidInput` for pairs that are not those the vector was fitted on.
    """
    given = data_of(check_pairs(tuple(pairs)))["digest"]
    known = vector.header.data.get("digest")
    if known is not None and known != given:
        raise InvalidInput(
            f"baseline matched: vector {vector.header.name!r} was fitted on data {known}; the pairs given are {given}; "
            "give the file it was fitted on, or leave pairs out"
        )
    order = torch.randperm(len(pairs), generator=torch.Generator().manual_seed(seed)).tolist()
    swapped = set(order[: len(pairs) // 2])
    mixed = [_swapped(one) if i in swapped else one for i, one in enumerate(pairs)]
    read = msgspec.structs.replace(vector.header.read, layers=tuple(layers))
    found = await fit(
        mixed, DiffMean(), backend=model.backend, inside=model.inside, store=model.store, read=read
    )
    told = {"type": "matched", "params": {"seed": seed}}
    return _like(vector, found.vector.directions, f"matched {seed}", told)


def _swapped(pair: ContrastPair) -> ContrastPair:
    return msgspec.structs.replace(pair, positive=pair.negative, negative=pair.positive)


def _like(
    vector: SteeringVector, directions: Mapping[int, Tensor], what: str, method: dict[str, Any]
) -> SteeringVector:
    notes = {}
    for layer in directions:
        own = vector.notes(layer)
        notes[str(layer)] = LayerNotes(fitted_norm=own.fitted_norm, reference_norm=own.reference_norm)
    header = msgspec.structs.replace(
        vector.header,
        name=f"{what} beside {vector.header.name}",
        layers=notes,
        method=method,
        warnings=(),
        origin=None,
    )
    return SteeringVector(header, directions)
