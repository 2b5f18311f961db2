"""`.svec` files, JSON: of IBM activation-steering (one list a layer) and of AISteer360 (lists of lists).

IBM's directions are read at the output of block l and applied to its input. AISteer360 leaves open what a layer means;
its K rows are a direction (1), a plane (2, orthonormal), or with `num_heads` one row a head at `z`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import Tensor

from symposia.core.errors import InvalidInput
from symposia.interp.kinds import UnreadableVector

from .foreign import Asked, Found
from .layers import by_block, placed

Numbers = list[float | list[float]]


class _File(msgspec.Struct):
    """What both tools write; IBM always has `explained_variances`, AISteer360 may have any of the rest."""

    model_type: str
    directions: dict[int, Numbers]
    explained_variances: dict[str, Any] | None = None
    num_heads: int | None = None
    head_dim: int | None = None
    probe_accuracies: dict[str, float] | None = None


def read_svec(path: Path, asked: Asked) -> Found:
    """Directions of a `.svec` file. Raises `ConventionNeeded`, or `UnreadableVector` with what came instead."""
    try:
        held = msgspec.json.decode(path.read_bytes(), type=_File)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise UnreadableVector(
            f"{path}: expected JSON with model_type and directions by layer; {error}"
        ) from error
    rows = {layer: _tensor(numbers, f"{path}, layer {layer}") for layer, numbers in held.directions.items()}
    if not rows:
        raise UnreadableVector(f"{path}: expected directions by layer; got none")
    nested = any(row.dim() == 2 for row in rows.values())
    if not nested and held.explained_variances is not None and held.num_heads is None:
        return _ibm(held, rows, asked)
    if asked.applied is not None:
        raise InvalidInput("--as-read and --as-applied belong to IBM's .svec; this one is of AISteer360")
    rows = {layer: row if row.dim() == 2 else row[None] for layer, row in rows.items()}
    return (
        _heads(held, rows, path, asked) if held.num_heads is not None else _aisteer(held, rows, path, asked)
    )


def _ibm(held: _File, rows: dict[int, Tensor], asked: Asked) -> Found:
    if asked.convention not in (None, "block_output"):
        raise InvalidInput(
            f"--convention {asked.convention}: IBM's .svec says its own, the output of block l; leave it out"
        )
    if not asked.applied:
        kept, changes = by_block(rows, "directions[{}]")
        changes = tuple(f"{line}, where it was read" for line in changes)
    else:
        kept = {layer - 1: row for layer, row in sorted(rows.items()) if layer}
        changes = tuple(
            f"directions[{b + 1}] -> block {b}, where it was applied: block {b + 1}'s input" for b in kept
        )
        if 0 in rows:
            changes = ("directions[0] left out: it was applied to the embedding", *changes)
    return Found(format="svec of IBM", rows=kept, changes=changes, model_type=held.model_type)


def _aisteer(held: _File, rows: dict[int, Tensor], path: Path, asked: Asked) -> Found:
    counts = {len(row) for row in rows.values()}
    plane = counts == {2} and all(_orthonormal(row) for row in rows.values())
    if counts != {1} and not plane:
        raise UnreadableVector(
            f"{path}: expected one row a layer, or two orthonormal ones (a plane); got {sorted(counts)} rows: one for "
            "each position (ActAdd) is not read"
        )
    kept, changes = placed(rows, asked, "directions[{}]", f"{path}", last=None)
    return Found(
        format="svec of AISteer360",
        rows=kept if plane else {block: row[0] for block, row in kept.items()},
        changes=changes,
        kind="plane" if plane else "direction",
        model_type=held.model_type,
    )


def _heads(held: _File, rows: dict[int, Tensor], path: Path, asked: Asked) -> Found:
    shapes = {tuple(row.shape) for row in rows.values()}
    expected = (held.num_heads, held.head_dim or next(iter(shapes))[1])
    if shapes != {expected}:
        raise UnreadableVector(
            f"{path}: expected rows {list(expected)} a layer; got {sorted(map(list, shapes))}"
        )
    if asked.convention == "hidden_states":
        raise InvalidInput("--convention hidden_states: directions of heads belong to a block's attention")
    kept, changes = by_block(rows, "directions[{}]")
    flat = {block: row.flatten() for block, row in kept.items()}
    return Found(
        format="svec of AISteer360",
        rows=flat,
        changes=tuple(f"{line}, z: {held.num_heads} heads side by side" for line in changes),
        site="z",
        model_type=held.model_type,
    )


def _tensor(numbers: Numbers, what: str) -> Tensor:
    try:
        return torch.tensor(numbers, dtype=torch.float64)
    except (ValueError, TypeError) as error:
        raise UnreadableVector(f"{what}: expected numbers, or rows of one length; {error}") from error


def _orthonormal(rows_2D: Tensor) -> bool:
    return torch.allclose(rows_2D @ rows_2D.T, torch.eye(2, dtype=rows_2D.dtype), atol=1e-4)
