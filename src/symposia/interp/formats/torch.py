"""`.pt` files: tensors and dicts of tensors, persona vectors `[n+1, D]`, steering-vectors as a plain dict.

Always loaded with `weights_only=True`: what would run code is refused by name.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from symposia.core.capture import Site
from symposia.core.errors import InvalidInput
from symposia.core.files import write_atomic
from symposia.interp.anatomy import ANATOMIES
from symposia.interp.kinds import UnreadableVector
from symposia.interp.vector import SteeringVector

from .foreign import Asked, Convention, Found
from .layers import by_block, placed
from .outward import as_fitted
from .pickled import words_of

_EXPECTED = "a tensor [rows, D] or [D], a dict of tensors by layer, or steering-vectors' layer_activations"
LAYER_TYPES: dict[str, Site] = {"decoder_block": "resid_post", "self_attn": "attn_out", "mlp": "mlp_out"}
LEARNED = {
    "rotate_layer": "LoReFT (pyreft, EasySteer): a learned low-rank intervention, h + Rᵀ(Wh + b - Rh), is no direction",
    "projector1": "LM-Steer: a learned map of the last state, h + ε·h·P1·P2ᵀ, is no direction",
    "A_": "LinearTransport: a learned linear map, Ah + b, is no direction",
}


def read_torch(path: Path, asked: Asked) -> Found:
    """Directions of a `.pt` file. Raises `ConventionNeeded`, or `UnreadableVector` with what came instead."""
    held = _load(path)
    if isinstance(held, Mapping) and "layer_activations" in held:
        return _steering_vectors(held, path, asked)
    if asked.convention == "steering_vectors":
        raise UnreadableVector(
            f"{path}: expected a dict with layer_activations and layer_type; got {_form(held)}"
        )
    if isinstance(held, Tensor) and (held.dim() == 1 or (held.dim() == 2 and len(held) == 1)):
        return _bare(held.flatten(), path, asked)
    rows = _rows(held, path)
    whole = isinstance(held, Tensor | list)
    label = "row {}" if whole else "layer {}"
    kept, changes = placed(rows, asked, label, f"{path}", last=len(rows) - 1 if whole else None)
    return Found(format="pt", rows=kept, changes=changes)


def write_torch(vector: SteeringVector, path: Path, convention: Convention | None) -> tuple[str, ...]:
    """A dict by block, or as persona vectors `[n+1, D]`, or as steering-vectors' fields; what was moved or left out."""
    match convention:
        case None | "block_output":
            rows, changes = as_fitted(vector, ("resid_post",), "a .pt dict by block")
            made: object = rows
            changes += tuple(f"block {block} -> layer {block}" for block in rows)
        case "steering_vectors":
            rows, changes = as_fitted(vector, tuple(LAYER_TYPES.values()), "steering-vectors")
            kind = next(name for name, site in LAYER_TYPES.items() if site == vector.header.read.site)
            made = {"layer_activations": rows, "layer_type": kind}
            changes += tuple(f"block {block} -> {kind} {block}" for block in rows)
        case "hidden_states":
            made, changes = _persona(vector)
    buffer = io.BytesIO()
    torch.save(made, buffer)
    write_atomic(path, buffer.getvalue())
    return changes


def _persona(vector: SteeringVector) -> tuple[Tensor, tuple[str, ...]]:
    rows, changes = as_fitted(vector, ("resid_post",), "a persona vector")
    count = vector.header.model.layers
    missing = [block for block in range(count - 1) if block not in rows]
    if missing or not count:
        why = f"it lacks {missing}" if count else "its file does not say how many blocks its model has"
        raise InvalidInput(
            f"vector {vector.header.name!r}: [n+1, D] needs every block but the last; {why}; "
            "--convention block_output writes a dict by block"
        )
    made_ND = torch.zeros(count + 1, vector.header.model.width)
    for block in range(count - 1):
        made_ND[block + 1] = rows[block]
    moves = tuple(f"block {block} -> row {block + 1}" for block in range(count - 1))
    if count - 1 in rows:
        moves += (f"block {count - 1} left out: row {count} is past the final norm, and zero",)
    return made_ND, (*changes, "row 0 is zero: the embedding", *moves)


def _load(path: Path) -> object:
    raw = io.BytesIO(path.read_bytes())  # what fails from here on is the content
    try:
        held: object = torch.load(raw, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, LookupError, OSError) as error:
        raise UnreadableVector(f"{path}: {_why(path)}") from error
    if isinstance(held, Mapping | list):
        told = (
            held
            if isinstance(held, Mapping)
            else [k for one in held if isinstance(one, Mapping) for k in one]
        )
        _refuse_learned(path, [str(key) for key in told])
    return held


def _why(path: Path) -> str:
    words = words_of(path)
    _refuse_learned(path, words)
    if "steering_vectors.steering_vector" in words:
        return (
            "expected plain tensors; got a pickled steering_vectors.SteeringVector, which would run code; save "
            '{"layer_activations": v.layer_activations, "layer_type": v.layer_type} with torch.save instead'
        )
    if words:
        return f"expected plain tensors; got a pickle that would run code ({words[0]}); save a dict of tensors instead"
    return "expected a file of torch.save; got something else"


def _refuse_learned(path: Path, words: tuple[str, ...] | list[str]) -> None:
    for word, told in LEARNED.items():
        if word in words:
            raise UnreadableVector(f"{path}: {told}; learned interventions are not read")


def _rows(held: object, path: Path) -> dict[int, Tensor]:
    match held:
        case Tensor():
            named: dict[object, object] = dict(enumerate(held)) if held.dim() == 2 else {}
        case list():
            named = dict(enumerate(held))
        case Mapping():
            named = dict(held)
        case _:
            named = {}
    rows = {_layer(key): row.squeeze(0) if row.dim() == 2 else row for key, row in _tensors(named)}
    if not rows or len(rows) != len(named) or None in rows or any(row.dim() != 1 for row in rows.values()):
        raise UnreadableVector(f"{path}: expected {_EXPECTED}; got {_form(held)}")
    return {layer: row for layer, row in rows.items() if layer is not None}


def _tensors(named: Mapping[object, object]) -> list[tuple[object, Tensor]]:
    return [(key, row) for key, row in named.items() if isinstance(row, Tensor) and row.is_floating_point()]


def _layer(key: object) -> int | None:
    match key:
        case bool():
            return None
        case int():
            return key
        case str() if key.isdecimal():
            return int(key)
    return None


def _bare(row_D: Tensor, path: Path, asked: Asked) -> Found:
    if asked.convention == "hidden_states" or not asked.layers:
        raise UnreadableVector(
            f"{path}: one row [{len(row_D)}] names no layer; name the blocks after which it was read with --layers"
        )
    changes = tuple(f"the one row -> block {block}" for block in asked.layers)
    return Found(format="pt", rows=dict.fromkeys(asked.layers, row_D), changes=changes)


def _steering_vectors(held: Mapping[object, object], path: Path, asked: Asked) -> Found:
    kind, named = held.get("layer_type"), held.get("layer_activations")
    if kind not in LAYER_TYPES or not isinstance(named, Mapping):
        raise UnreadableVector(
            f"{path}: expected layer_activations by layer and layer_type {', '.join(LAYER_TYPES)}; "
            f"got layer_type {kind!r} and {_form(named)}"
        )
    if asked.convention not in (None, "steering_vectors"):
        raise InvalidInput(
            f"--convention {asked.convention}: {path} says its own, steering_vectors; leave it out"
        )
    site = LAYER_TYPES[str(kind)]
    moved, changes = by_block(_rows(named, path), f"{kind} {{}}")
    warnings: tuple[str, ...] = ()
    if site != "resid_post":
        warnings = _normed(str(kind), asked, path)
    return Found(format="steering-vectors", rows=moved, changes=changes, site=site, warnings=warnings)


def _normed(kind: str, asked: Asked, path: Path) -> tuple[str, ...]:
    """A module's output is what the block adds only where no norm comes after it."""
    if asked.shape is None:
        return (f"{kind} is what the block adds only in models without a norm after it (not Gemma, OLMo 2)",)
    anatomy = ANATOMIES.get(asked.shape.type)
    if anatomy is not None and (anatomy.attn_out, anatomy.mlp_out) != (anatomy.attention, anatomy.mlp):
        raise UnreadableVector(
            f"{path}: {kind} was read before the norm that {asked.shape.type} applies to it; no site of ours is "
            "there: fit it again, on attn_out or mlp_out"
        )
    return ()


def _form(held: object) -> str:
    match held:
        case Tensor():
            return f"a tensor {list(held.shape)} of {held.dtype}"
        case Mapping():
            return f"a dict with {', '.join(map(repr, list(held)[:6])) or 'nothing'}"
        case list():
            return f"a list of {len(held)}"
    return type(held).__name__
