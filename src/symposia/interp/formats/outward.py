"""Directions on their way to another tool's file: at the length they were fitted with, fp32."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from symposia.core.capture import Site
from symposia.core.errors import InvalidInput
from symposia.interp.vector import SteeringVector


def as_fitted(
    vector: SteeringVector, sites: Sequence[Site], what: str
) -> tuple[dict[int, Tensor], tuple[str, ...]]:
    """Rows `[D]` by block, and what their reader should know. `InvalidInput` if the format has no place for them."""
    header = vector.header
    if header.kind != "direction":
        raise InvalidInput(f"{what} holds directions; vector {header.name!r} is a {header.kind}")
    if header.read.site not in sites:
        raise InvalidInput(
            f"{what} holds directions of {', '.join(sites)}; vector {header.name!r} was read at {header.read.site}"
        )
    rows, changes = {}, []
    for block, direction_D in vector.directions.items():
        norm = vector.notes(block).fitted_norm
        if norm is None:
            changes.append(f"block {block}: no fitted norm; written at unit length")
        rows[block] = (direction_D.double() * (norm or 1.0)).to(torch.float32)
    if any(name.startswith("probe.") for name in vector.tensors):
        changes.append("probe left out: directions only")
    return rows, tuple(changes)
