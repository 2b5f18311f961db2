"""Which tensors a vector file of each kind holds, and what they must be like; the same on reading and on writing.

| kind | tensors, fp32 |
|---|---|
| direction | `direction.{layer}` `[D]` of unit length; a probe adds `probe.{layer}.weight` `[D]` and `.bias` `[1]` |
| subspace, plane | `direction.{layer}` `[k, D]`, `[2, D]`, orthonormal rows |
| means | `mean.{site}.{layer}` `[X]`, reference activations |
| latent | `encoder.{layer}`, `decoder.{layer}` `[F, D]`; `encoder_bias.{layer}` `[F]`, all that the product gains; |
| | where there are any, `threshold.{layer}` `[F]` and `decoder_bias.{layer}` `[D]` |

Axes: D width of the site, k rows, F features, X numbers of the site.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Literal, get_args

import torch
from torch import Tensor

from symposia.core.capture import Site
from symposia.core.errors import SymposiaError

Kind = Literal["direction", "subspace", "plane", "means", "latent"]
_ROWED = r"direction\.\d+"
NAMES: dict[Kind, re.Pattern[str]] = {
    "direction": re.compile(_ROWED + r"|probe\.\d+\.(weight|bias)"),
    "subspace": re.compile(_ROWED),
    "plane": re.compile(_ROWED),
    "means": re.compile(rf"mean\.({'|'.join(get_args(Site))})\.\d+"),
    "latent": re.compile(r"(encoder|encoder_bias|decoder|decoder_bias|threshold)\.\d+"),
}
DIRECTED: tuple[Kind, ...] = ("direction", "subspace", "plane")


class UnreadableVector(SymposiaError):
    """A file is not a vector file of its format, or its tensors are not what its header promises."""


def layer_of(name: str) -> int:
    """The block index in a tensor's name."""
    return int(next(part for part in name.split(".") if part.isdigit()))


def check_tensors(kind: Kind, width: int, tensors: Mapping[str, Tensor], what: str) -> None:
    """Raise `UnreadableVector` for tensors that are not those of the kind, or that no model could be steered by."""
    if not tensors:
        raise UnreadableVector(f"{what}: expected tensors {NAMES[kind].pattern} of a {kind}; got none")
    for name, tensor in tensors.items():
        if not NAMES[kind].fullmatch(name):
            raise UnreadableVector(
                f"{what}: expected tensors {NAMES[kind].pattern} of a {kind}; got {name!r}"
            )
        if not torch.isfinite(tensor).all():
            raise UnreadableVector(f"{what}: {name} holds NaN or infinity")
    for layer in sorted({layer_of(name) for name in tensors}):
        _CHECKS[kind](layer, width, tensors, f"{what}, layer {layer}")


def _check_rows(kind: Kind, layer: int, width: int, tensors: Mapping[str, Tensor], what: str) -> None:
    rows = tensors.get(f"direction.{layer}")
    if rows is None:
        raise UnreadableVector(f"{what}: expected a direction beside its probe; got none")
    fits = rows.dim() == (1 if kind == "direction" else 2) and (kind != "plane" or len(rows) == 2)
    if not fits or rows.shape[-1] != width:
        raise UnreadableVector(f"{what}: expected a {kind} of width {width}; got {list(rows.shape)}")
    rows_kD = rows.reshape(-1, width).double()
    gram_kk = rows_kD @ rows_kD.T
    if not torch.allclose(gram_kk, torch.eye(len(gram_kk), dtype=torch.float64), atol=1e-4):
        raise UnreadableVector(
            f"{what}: expected unit length (orthonormal rows); got norms {rows_kD.norm(dim=1).tolist()}"
        )


def _check_direction(layer: int, width: int, tensors: Mapping[str, Tensor], what: str) -> None:
    _check_rows("direction", layer, width, tensors, what)
    parts = [name for name in (f"probe.{layer}.weight", f"probe.{layer}.bias") if name in tensors]
    if parts:
        _check_shapes(
            {f"probe.{layer}.weight": [width], f"probe.{layer}.bias": [1]}, tensors, what, got=parts
        )
        if not tensors[f"probe.{layer}.weight"].norm():
            raise UnreadableVector(f"{what}: the probe's weight is zero")


def _check_subspace(layer: int, width: int, tensors: Mapping[str, Tensor], what: str) -> None:
    _check_rows("subspace", layer, width, tensors, what)


def _check_plane(layer: int, width: int, tensors: Mapping[str, Tensor], what: str) -> None:
    _check_rows("plane", layer, width, tensors, what)


def _check_means(layer: int, _width: int, tensors: Mapping[str, Tensor], what: str) -> None:
    for name, tensor in tensors.items():
        if layer_of(name) == layer and (tensor.dim() != 1 or not len(tensor)):
            raise UnreadableVector(f"{what}: expected {name} [X]; got {list(tensor.shape)}")


def _check_latent(layer: int, width: int, tensors: Mapping[str, Tensor], what: str) -> None:
    encoder = tensors.get(f"encoder.{layer}")
    features = 0 if encoder is None else encoder.shape[0]
    expected = {
        f"encoder.{layer}": [features, width],
        f"decoder.{layer}": [features, width],
        f"encoder_bias.{layer}": [features],
    }
    asked = {f"threshold.{layer}": [features], f"decoder_bias.{layer}": [width]}
    expected |= {name: shape for name, shape in asked.items() if name in tensors}
    _check_shapes(expected, tensors, what, got=[name for name in tensors if layer_of(name) == layer])


def _check_shapes(
    expected: Mapping[str, list[int]], tensors: Mapping[str, Tensor], what: str, *, got: list[str]
) -> None:
    shapes = {name: list(tensors[name].shape) for name in got}
    if shapes != expected:
        raise UnreadableVector(f"{what}: expected {dict(sorted(expected.items()))}; got {shapes}")


_CHECKS: dict[Kind, Callable[[int, int, Mapping[str, Tensor], str], None]] = {
    "direction": _check_direction,
    "subspace": _check_subspace,
    "plane": _check_plane,
    "means": _check_means,
    "latent": _check_latent,
}
