"""What a file of another tool says, on its way to a vector file of ours, and what a person must add.

Every move of a layer becomes a line of `origin.changes`. Axes: D width of the site, k rows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from symposia.core.capture import Site
from symposia.core.errors import SymposiaError
from symposia.interp.kinds import Kind, UnreadableVector
from symposia.interp.taps import ModelShape
from symposia.interp.vector import FittedOn, Header, LayerNotes, Reading, SteeringVector

Convention = Literal["block_output", "hidden_states", "steering_vectors"]


class ConventionNeeded(SymposiaError):
    """A file's layers can be read in two ways; the message names both."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a person says of a foreign file, as far as it does not say so itself.

    `convention` of its layers; `applied` (False: read) for a format that applies elsewhere than it reads; `layers` for
    a row that names none; `shape` of the model they belong to.
    """

    convention: Convention | None = None
    applied: bool | None = None
    layers: tuple[int, ...] = ()
    shape: ModelShape | None = None
    name: str = ""


@dataclass(frozen=True, kw_only=True)
class Found:
    """Directions as fitted, `[D]` or `[k, D]` by block, and every move that brought them there."""

    format: str
    rows: dict[int, Tensor]
    changes: tuple[str, ...]
    site: Site = "resid_post"
    kind: Kind = "direction"
    model_type: str = ""
    name: str = ""
    warnings: tuple[str, ...] = ()


def as_vector(found: Found, asked: Asked, path: Path) -> SteeringVector:
    """The vector file: directions of unit length, their norm as `fitted_norm`, where they came from in `origin`.

    Raises `UnreadableVector` for a zero row, NaN, infinity, unequal widths, or what does not fit `asked.shape`.
    """
    what = f"{path}, {found.format}"
    if not found.rows:
        raise UnreadableVector(f"{what}: expected directions; none is left after {'; '.join(found.changes)}")
    widths = {rows.shape[-1] for rows in found.rows.values()}
    if len(widths) > 1:
        raise UnreadableVector(f"{what}: expected directions of one width; got {sorted(widths)}")
    _check_layers(found, asked.shape, what)
    model = fitted_on(asked.shape, widths.pop(), found.model_type)
    plain = found.kind == "direction"
    header = Header(
        name=asked.name or found.name or path.stem,
        kind=found.kind,
        model=model,
        template=asked.shape.template if asked.shape else "",
        tokenizer=asked.shape.tokenizer if asked.shape else "",
        read=Reading(site=found.site, where=None),
        method={"type": "imported", "params": {}},
        origin=origin(found.format, (path,), found.changes),
        layers={
            str(block): LayerNotes(fitted_norm=_norm(rows, f"{what}, block {block}") if plain else None)
            for block, rows in found.rows.items()
        },
        warnings=(*found.warnings, *doubts(asked.shape, found.model_type)),
    )
    rows = {block: rows.double() for block, rows in found.rows.items()}
    return SteeringVector(header, {block: x / x.norm() if plain else x for block, x in rows.items()})


def fitted_on(shape: ModelShape | None, width: int, model_type: str) -> FittedOn:
    """The model a person named, or one that is not known."""
    if shape is None:
        return FittedOn(name="unknown", digest="", type=model_type, layers=0, width=width)
    return FittedOn(name=shape.name, digest=shape.digest, type=shape.type, layers=shape.layers, width=width)


def origin(name: str, paths: Sequence[Path], changes: tuple[str, ...]) -> dict[str, Any]:
    """Where a vector file came from, for its header; the digest is of the files' bytes one after the other."""
    state = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while piece := file.read(1 << 22):
                state.update(piece)
    return {"format": name, "digest": "sha256:" + state.hexdigest(), "changes": list(changes)}


def doubts(shape: ModelShape | None, model_type: str) -> tuple[str, ...]:
    """What a reader of an imported file should know about its model."""
    if shape is None:
        return ("the file names no model: steering needs foreign=True, or convert it again with -m MODEL",)
    if model_type and model_type != shape.type:
        return (f"the file was made for a model of type {model_type!r}; {shape.name} is {shape.type!r}",)
    return ()


def _check_layers(found: Found, shape: ModelShape | None, what: str) -> None:
    if bad := [block for block in found.rows if block < 0 or (shape is not None and block >= shape.layers)]:
        known = f"0..{shape.layers - 1}, the blocks of {shape.name}" if shape else "0 and up"
        raise UnreadableVector(f"{what}: expected blocks {known}; got {bad}")
    width = next(iter(found.rows.values())).shape[-1]
    if shape is not None and found.site != "z" and width != shape.width:
        raise UnreadableVector(f"{what}: expected the width of {shape.name}, {shape.width}; got {width}")


def _norm(rows_D: Tensor, what: str) -> float:
    if not torch.isfinite(rows_D).all():
        raise UnreadableVector(f"{what}: holds NaN or infinity")
    norm = float(rows_D.double().norm())
    if not norm:
        raise UnreadableVector(f"{what}: expected a direction; got one of length zero")
    return norm
