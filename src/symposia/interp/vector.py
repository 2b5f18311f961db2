"""A steering vector on disk: a safetensors file whose metadata key `symposia.vector` holds JSON.

Tensors are fp32; `kinds` says which a file of each kind holds. The digest names what the vector does: metadata without
`created`, `description` and `warnings`, and the tensor bytes in the order of their names.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import msgspec
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from symposia.core.capture import Site
from symposia.core.errors import InvalidInput
from symposia.core.files import write_atomic
from symposia.core.positions import Positions, answer
from symposia.core.value import Value, canonical, checked, decode

from .kinds import DIRECTED, NAMES, Kind, UnreadableVector, check_tensors, layer_of

FORMAT = "symposia.vector/1"
KEY = "symposia.vector"
_UNNAMED = ("created", "description", "warnings")


class FittedOn(Value, frozen=True, kw_only=True):
    """The model whose activations the vector was read from; `width` is that of the site read.

    Of a file that names no model, `digest` is empty and `layers` 0.
    """

    name: str
    digest: str
    type: str
    layers: int
    width: int
    revision: str = ""


class Reading(Value, frozen=True, kw_only=True):
    """Where the activations were read. `layers=()` means all; `where=None` that only the site is known (imported)."""

    site: Site = "resid_post"
    layers: tuple[int, ...] = ()
    where: Positions | None = answer()
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


class Calibration(Value, frozen=True, kw_only=True):
    """Sizes, in reference norms, at which `metric` reaches `target` over `tokens` tokens; for these layers together."""

    layers: tuple[int, ...]
    plus: float
    minus: float
    unit: Literal["reference"] = "reference"
    metric: str = "kl_p95_nats"
    target: float = 1.0
    tokens: int = 20
    prompts: str = ""
    points: tuple[tuple[float, float], ...] = ()


class Header(Value, frozen=True, kw_only=True):
    """Everything of a vector file but its tensors."""

    format: str = FORMAT
    name: str
    kind: Kind = "direction"
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
    calibration: Calibration | None = None
    origin: dict[str, Any] | None = None
    warnings: tuple[str, ...] = ()


class SteeringVector:
    """A header and its tensors, checked: finite, non-zero, unit or orthonormal, of the stated width.

    `directions` by layer for the kinds that have them; everything else in `tensors` by name.
    """

    def __init__(
        self, header: Header, directions: Mapping[int, Tensor], tensors: Mapping[str, Tensor] | None = None
    ) -> None:
        """`directions[layer]` is `[D]` or `[k, D]`. Raises `UnreadableVector` for what no model could be steered by."""
        self.header = _finite(header)
        self.directions = {layer: _plain(d) for layer, d in sorted(directions.items())}
        self.tensors = {name: _plain(t) for name, t in sorted((tensors or {}).items())}
        named = f"vector {header.name!r}"
        if header.kind in DIRECTED and {str(layer) for layer in self.directions} != set(header.layers):
            raise UnreadableVector(
                f"{named}: expected one direction for each of layers {sorted(header.layers)}; "
                f"got {sorted(self.directions)}"
            )
        check_tensors(header.kind, header.model.width, self._named(), named)
        self.digest = _digest(self.header, self._named())
        self._units: dict[int, Tensor] = {}

    @property
    def layers(self) -> tuple[int, ...]:
        """Block indexes that have a direction, or tensors."""
        return tuple(self.directions) or tuple(sorted({layer_of(name) for name in self.tensors}))

    def units(self, layer: int) -> Tensor:
        """A layer's rows `[k, D]` in fp64, as orthonormal as that allows: each less its part in those before."""
        if layer in self._units:
            return self._units[layer]
        made: list[Tensor] = []
        rows = self.directions[layer]
        for row_D in rows.reshape(-1, rows.shape[-1]).double():
            rest_D = row_D - sum((row_D @ q_D) * q_D for q_D in made)
            made.append(rest_D / rest_D.norm())
        self._units[layer] = torch.stack(made)
        return self._units[layer]

    def notes(self, layer: int) -> LayerNotes:
        """What the header says of a layer."""
        return self.header.layers[str(layer)]

    def with_header(self, header: Header) -> SteeringVector:
        """The same tensors under another header."""
        return SteeringVector(header, self.directions, self.tensors)

    def encode(self) -> bytes:
        """The file's bytes, the same for the same vector."""
        return bytes(save(self._named(), metadata={KEY: canonical(self.header).decode()}))

    def _named(self) -> dict[str, Tensor]:
        return {**{f"direction.{layer}": d for layer, d in self.directions.items()}, **self.tensors}

    def save(self, path: Path | str) -> None:
        """Write the file, whole or not at all."""
        write_atomic(Path(path), self.encode())


def load_header(path: Path | str) -> Header:
    """What a vector file says of itself, without its tensors; `UnreadableVector` says what it holds instead."""
    with _opened(path) as file:
        return _header(file, path)


def load_vector(path: Path | str) -> SteeringVector:
    """Read a vector file; `UnreadableVector` says what it holds instead."""
    with _opened(path) as file:
        header = _header(file, path)
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    if strange := [f"{name} is {t.dtype}" for name, t in tensors.items() if t.dtype != torch.float32]:
        raise UnreadableVector(f"{path}: expected tensors in torch.float32; {strange[0]}")
    kind = header.kind
    directions = {
        name: t
        for name, t in tensors.items()
        if kind in DIRECTED and name.startswith("direction.") and NAMES[kind].fullmatch(name)
    }
    rest = {name: t for name, t in tensors.items() if name not in directions}
    return SteeringVector(header, {layer_of(name): t for name, t in directions.items()}, rest)


@contextmanager
def _opened(path: Path | str) -> Iterator[Any]:
    try:
        with safe_open(str(path), framework="pt") as file:
            yield file
    except (SafetensorError, OSError) as error:
        raise UnreadableVector(
            f"{path}: expected a safetensors file ({error}); `symposia vector convert` reads other formats"
        ) from error


def _header(file: Any, path: Path | str) -> Header:
    metadata = file.metadata() or {}
    if KEY not in metadata:
        raise UnreadableVector(
            f"{path}: expected metadata {KEY!r}; got {sorted(metadata) or 'none'}; "
            "`symposia vector convert` reads other formats"
        )
    what = f"{path}: {KEY}"
    try:
        version = msgspec.json.decode(metadata[KEY], type=_Version).format
        if version != FORMAT:
            raise UnreadableVector(f"{path}: expected format {FORMAT}; got {version}")
        return decode(metadata[KEY], Header, what)
    except msgspec.MsgspecError as error:
        raise UnreadableVector(f"{what}: {error}") from error
    except InvalidInput as error:
        raise UnreadableVector(str(error)) from error


class _Version(msgspec.Struct):
    """Read first: another version may have other fields."""

    format: str


def _finite(header: Header) -> Header:
    """The header as it will be read again; NaN and infinity have no JSON, and a length is above 0."""
    try:
        told = checked(header)
    except InvalidInput as error:
        raise UnreadableVector(f"vector {header.name!r}: {error}") from error
    for layer, notes in told.layers.items():
        for name, value in (("fitted_norm", notes.fitted_norm), ("reference_norm", notes.reference_norm)):
            if value is not None and value <= 0:
                raise UnreadableVector(
                    f"vector {header.name!r}, layer {layer}: expected {name} above 0; got {value}"
                )
    return told


def _plain(tensor: Tensor) -> Tensor:
    return tensor.detach().to("cpu", torch.float32).contiguous()


def _digest(header: Header, tensors: Mapping[str, Tensor]) -> str:
    named = {k: v for k, v in msgspec.to_builtins(header).items() if k not in _UNNAMED}
    state = hashlib.sha256(canonical(named))
    for name, tensor in sorted(tensors.items()):
        state.update(name.encode() + b"\0")
        state.update(tensor.numpy().data)
    return "sha256:" + state.hexdigest()
