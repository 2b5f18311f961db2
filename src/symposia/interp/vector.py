"""A steering vector on disk: a safetensors file whose metadata key `symposia.vector` holds JSON.

Tensors are fp32: `direction.{layer}` is `[D]` of unit length, or `[k, D]` with orthonormal rows (kind `subspace`). The
digest names what the vector does: metadata without `created`, `description` and `warnings`, and the tensor bytes.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Literal

import msgspec
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from symposia.core.capture import Site
from symposia.core.errors import InvalidInput, SymposiaError
from symposia.core.files import write_atomic
from symposia.core.positions import Positions, answer
from symposia.core.value import Value, canonical, decode

FORMAT = "symposia.vector/1"
KEY = "symposia.vector"
_UNNAMED = ("created", "description", "warnings")


class UnreadableVector(SymposiaError):
    """A file is not a vector file of this format, or its tensors are not what its header promises."""


class FittedOn(Value, frozen=True, kw_only=True):
    """The model whose activations the vector was read from; `width` is that of the site read."""

    name: str
    digest: str
    type: str
    layers: int
    width: int
    revision: str = ""


class Reading(Value, frozen=True, kw_only=True):
    """Where the activations were read. `layers=()` means all."""

    site: Site = "resid_post"
    layers: tuple[int, ...] = ()
    where: Positions = answer()
    pool: Literal["mean", "last", "max"] = "mean"
    per: Literal["sample", "token"] = "sample"
    drop_sinks: bool = True


class Spread(Value, frozen=True, kw_only=True):
    """Mean and standard deviation of the projection on the direction, over the samples of both sides."""

    mean: float
    sd: float


class LayerNotes(Value, frozen=True, kw_only=True):
    """What is known of the direction at one layer. `reference_norm` is the mean ‖h‖ over the positions read."""

    fitted_norm: float | None = None
    reference_norm: float | None = None
    projection: Spread | None = None
    pair_cosine: float | None = None
    split_half: float | None = None
    auroc: float | None = None
    dprime: float | None = None
    null_auroc: float | None = None


class Header(Value, frozen=True, kw_only=True):
    """Everything of a vector file but its tensors."""

    format: str = FORMAT
    name: str
    kind: Literal["direction", "subspace"] = "direction"
    use: Literal["lever", "readout"] = "lever"
    description: str = ""
    created: str = ""
    model: FittedOn
    template: str = ""
    tokenizer: str = ""
    dtype: str = "float32"
    seed: int = 0
    convention: Literal["block_output"] = "block_output"
    read: Reading = Reading()
    method: dict[str, Any] = {}
    data: dict[str, Any] = {}
    layers: dict[str, LayerNotes]
    calibration: dict[str, Any] | None = None
    origin: dict[str, Any] | None = None
    warnings: tuple[str, ...] = ()


class SteeringVector:
    """A header and one direction per layer, checked: finite, non-zero, unit or orthonormal, of the stated width."""

    def __init__(self, header: Header, directions: dict[int, Tensor]) -> None:
        """`directions[layer]` is `[D]` or `[k, D]`. Raises `UnreadableVector` for what no model could be steered by."""
        self.header = header
        self.directions = {
            layer: d.detach().to("cpu", torch.float32).contiguous() for layer, d in sorted(directions.items())
        }
        if not self.directions or {str(layer) for layer in self.directions} != set(header.layers):
            raise UnreadableVector(
                f"vector {header.name!r}: expected one direction for each of layers {sorted(header.layers)}; "
                f"got {sorted(self.directions)}"
            )
        for layer, direction in self.directions.items():
            _check(header, layer, direction)
        self.digest = _digest(header, self.directions)

    @property
    def layers(self) -> tuple[int, ...]:
        """Block indexes that have a direction."""
        return tuple(self.directions)

    def notes(self, layer: int) -> LayerNotes:
        """What the header says of a layer."""
        return self.header.layers[str(layer)]

    def encode(self) -> bytes:
        """The file's bytes, the same for the same vector."""
        tensors = {f"direction.{layer}": d for layer, d in self.directions.items()}
        return bytes(save(tensors, metadata={KEY: canonical(self.header).decode()}))

    def save(self, path: Path | str) -> None:
        """Write the file, whole or not at all."""
        write_atomic(Path(path), self.encode())


def load_vector(path: Path | str) -> SteeringVector:
    """Read a vector file; `UnreadableVector` says what it holds instead."""
    try:
        with safe_open(str(path), framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError) as error:
        raise UnreadableVector(f"{path}: expected a safetensors file; {error}") from error
    if KEY not in metadata:
        raise UnreadableVector(
            f"{path}: expected metadata {KEY!r}; got {sorted(metadata) or 'none'}; convert it first"
        )
    try:
        header = decode(metadata[KEY], Header, f"{path}: {KEY}")
    except InvalidInput as error:
        raise UnreadableVector(str(error)) from error
    if header.format != FORMAT:
        raise UnreadableVector(f"{path}: expected format {FORMAT}; got {header.format}")
    unknown = [name for name in tensors if not name.removeprefix("direction.").isdigit()]
    if unknown:
        raise UnreadableVector(f"{path}: expected tensors direction.LAYER; got {unknown[0]!r}")
    return SteeringVector(header, {int(name.removeprefix("direction.")): t for name, t in tensors.items()})


def _check(header: Header, layer: int, direction: Tensor) -> None:
    where = f"vector {header.name!r}, layer {layer}"
    if direction.shape[-1] != header.model.width or direction.dim() != (
        1 if header.kind == "direction" else 2
    ):
        raise UnreadableVector(
            f"{where}: expected a {header.kind} of width {header.model.width}; got {list(direction.shape)}"
        )
    if not torch.isfinite(direction).all():
        raise UnreadableVector(f"{where}: holds NaN or infinity")
    rows_kD = direction.reshape(-1, direction.shape[-1]).double()
    gram = rows_kD @ rows_kD.T
    if not torch.allclose(gram, torch.eye(len(gram), dtype=torch.float64), atol=1e-4):
        raise UnreadableVector(
            f"{where}: expected unit length (orthonormal rows); got norms {rows_kD.norm(dim=1).tolist()}"
        )


def _digest(header: Header, directions: dict[int, Tensor]) -> str:
    named = {k: v for k, v in msgspec.to_builtins(header).items() if k not in _UNNAMED}
    state = hashlib.sha256(canonical(named))
    for name, tensor in sorted((f"direction.{layer}", d) for layer, d in directions.items()):
        state.update(name.encode() + b"\0" + bytes(tensor.numpy().tobytes()))
    return "sha256:" + state.hexdigest()
