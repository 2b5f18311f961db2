"""What each operation writes at one layer: instructions over rows that are not in the bank yet.

The arithmetic of an instruction is stated in `program` and done by a `Writer`. Axes: D the site's width, k rank.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec
import torch
from torch import Tensor

from symposia.core.errors import InvalidIntervention, UnsupportedRequest
from symposia.core.intervention import (
    Ablate,
    Add,
    Angle,
    Cap,
    Heads,
    Intervention,
    Latent,
    Replace,
    Scale,
    Set,
    Slerp,
    Swap,
    Unit,
)
from symposia.core.positions import speaking

from .latent import autoencoder_of
from .program import Flag, Kind
from .vector import SteeringVector


@dataclass(frozen=True, eq=False)
class Row:
    """A row for the bank; equal keys are equal rows."""

    key: object
    values_D: Tensor


@dataclass(frozen=True, kw_only=True, eq=False)
class Part:
    """One instruction of `program`, with rows in place of indexes."""

    kind: Kind
    read: Row | None = None
    write: Row | None = None
    flags: Flag = Flag.NONE
    a: float = 0.0
    b: float = 0.0
    c: float = 0.0
    low: float = -math.inf
    high: float = math.inf


@dataclass(frozen=True, kw_only=True, eq=False)
class Term:
    """An intervention at one layer. `watch`: the direction, or the rows of the subspace, that receipts project on.

    `by_row`: for `replace`, the row of each source position, in place of `parts`; `mask` is 1 where it is written.
    """

    parts: tuple[Part, ...] = ()
    watch: tuple[Row, ...] = ()
    by_row: Mapping[int, Row] = field(default_factory=dict)
    mask: Row | None = None


@dataclass(frozen=True)
class Source:
    """What an intervention draws on: its vector files by the name it uses, and captured rows by position."""

    vectors: Mapping[str, SteeringVector]
    rows: Mapping[int, Tensor] = field(default_factory=dict)
    digest: str = ""  # of the rows


@dataclass(frozen=True)
class Place:
    """One layer that is written; `heads` and `width` are the site's there."""

    layer: int
    heads: int
    width: int


def term_of(edit: Intervention, source: Source, place: Place) -> Term:
    """The term at a layer. Raises for a unit, kind of file or layer that cannot serve it."""
    match edit:
        case Add():
            row = _direction(edit, source.vectors[edit.vector], place.layer)
            weight = edit.weights[edit.layers.index(place.layer)] if edit.weights else 1.0
            size = edit.scale * weight * _unit(edit, source, place.layer, edit.unit, sign=edit.scale)
            flags = Flag.RELATIVE if edit.unit == "relative" else Flag.NONE
            return _watched(Part(kind=Kind.UPDATE, read=row, write=row, a=size, flags=flags))
        case Ablate():
            rows = _basis(edit, source.vectors[edit.vector], place.layer)
            parts = (Part(kind=Kind.UPDATE, read=q, write=q, b=-edit.strength) for q in rows)
            return Term(parts=tuple(parts), watch=rows)
        case Set():
            row = _direction(edit, source.vectors[edit.vector], place.layer)
            value = edit.value * _unit(edit, source, place.layer, edit.unit)
            return _watched(Part(kind=Kind.UPDATE, read=row, write=row, a=value, b=-1.0))
        case Cap():
            row = _direction(edit, source.vectors[edit.vector], place.layer)
            u = _unit(edit, source, place.layer, edit.unit)
            low = -math.inf if edit.low is None else edit.low * u
            high = math.inf if edit.high is None else edit.high * u
            return _watched(Part(kind=Kind.UPDATE, read=row, write=row, b=-1.0, c=1.0, low=low, high=high))
        case Scale():
            row = _direction(edit, source.vectors[edit.vector], place.layer)
            return _watched(Part(kind=Kind.UPDATE, read=row, write=row, b=edit.factor - 1.0))
        case Swap():
            return _swap(edit, source, place.layer)
        case Angle():
            first, second = _plane(edit, source.vectors[edit.plane], place.layer)
            part = Part(kind=Kind.ROTATE, read=first, write=second, a=math.radians(edit.degrees))
            return Term(parts=(part,))
        case Slerp():
            row = _direction(edit, source.vectors[edit.vector], place.layer)
            return _watched(Part(kind=Kind.SLERP, read=row, a=edit.fraction))
        case Replace():
            named = {p: Row(("replace", source.digest, p), row) for p, row in source.rows.items()}
            return Term(by_row=named, mask=_mask(edit, edit.heads, place) if edit.heads else None)
        case Heads():
            return _heads(edit, source, place)
        case Latent():
            return _latent(edit, source.vectors[edit.sae], place.layer)


def joins(edit: Intervention) -> bool:
    """Whether it is summed with its neighbours of the same kind before anything is written."""
    return isinstance(edit, Add) and edit.norm == "free" and edit.gate is None and edit.schedule is None


def identity(
    edit: Intervention, source: Source, layers: tuple[int, ...], blind: int | None
) -> tuple[object, ...]:
    """What a write does to later keys and values: everything but where and how strongly it applies, and its name.

    Nothing, if all that is written is at the layer `blind`, which no later key or value sees.
    """
    weights = edit.weights or (1.0,) * len(layers)
    seen = tuple((layer, w) for layer, w in zip(layers, weights, strict=True) if layer != blind)
    if not seen:
        return ()
    told = msgspec.to_builtins(
        msgspec.structs.replace(edit, layers=(), weights=(), where=speaking(), schedule=None, name="")
    )
    told.update(may_miss=False, foreign=False)
    told.pop("pairs", None)
    for name, vector in source.vectors.items():
        told = _renamed(told, name, vector.digest)
    if source.digest:
        told["source"] = source.digest
    return (hashlib.sha256(msgspec.json.encode((told, seen), order="sorted")).hexdigest(),)


def _renamed(told: object, name: str, digest: str) -> dict[str, object]:
    assert isinstance(told, dict)
    fields = ("vector", "source", "target", "plane", "means", "sae")
    return {
        key: _renamed(value, name, digest)
        if key == "gate" and value is not None
        else digest
        if key in fields and value == name
        else value
        for key, value in told.items()
    }


def _watched(part: Part) -> Term:
    """One instruction, watched along the row that it reads."""
    assert part.read is not None
    return Term(parts=(part,), watch=(part.read,))


def _swap(edit: Swap, source: Source, layer: int) -> Term:
    one, other = source.vectors[edit.source], source.vectors[edit.target]
    c, t = _direction(edit, one, layer), _direction(edit, other, layer)
    c_norm = _known(one, _from(edit, layer), "fitted", one.notes(_from(edit, layer)).fitted_norm)
    t_norm = _known(other, _from(edit, layer), "fitted", other.notes(_from(edit, layer)).fitted_norm)
    change = Row(("swap", c.key, t.key), t_norm * t.values_D - c_norm * c.values_D)
    return _watched(Part(kind=Kind.UPDATE, read=c, write=change, b=1.0 / c_norm))


def _mask(edit: Heads | Replace, heads: tuple[int, ...], place: Place) -> Row:
    """1 at the numbers of some heads."""
    if strange := [head for head in heads if head >= place.heads]:
        raise InvalidIntervention(
            f"{edit.site} {place.layer}: expected heads 0..{place.heads - 1}; got {strange}"
        )
    mask_Hd = torch.zeros(place.heads, place.width // place.heads)
    mask_Hd[list(heads)] = 1.0
    return Row(("heads", place.heads, tuple(sorted(heads))), mask_Hd.flatten())


def _heads(edit: Heads, source: Source, place: Place) -> Term:
    mask = _mask(edit, edit.heads, place)
    if edit.means is None:
        return Term(parts=(Part(kind=Kind.OVERWRITE, read=mask),))
    vector, name = source.vectors[edit.means], f"mean.z.{place.layer}"
    if name not in vector.tensors or vector.tensors[name].shape != (place.width,):
        raise InvalidIntervention(
            f"vector {vector.header.name!r}: expected {name} of width {place.width}; it has "
            f"{ {n: list(t.shape) for n, t in vector.tensors.items()} or 'no means' }"
        )
    mean = Row(("mean", vector.digest, name), vector.tensors[name])
    return Term(parts=(Part(kind=Kind.OVERWRITE, read=mask, write=mean),))


def _latent(edit: Latent, vector: SteeringVector, layer: int) -> Term:
    """Source of the form: SAE steering with the error term kept, h + (f' - f)d."""
    encoder_FD = vector.tensors.get(f"encoder.{layer}")
    if vector.header.kind != "latent" or encoder_FD is None:
        raise InvalidIntervention(
            f"latent needs a sparse autoencoder at layer {layer}; vector {vector.header.name!r} is a "
            f"{vector.header.kind} of layers {list(vector.layers)}"
        )
    if not autoencoder_of(vector.header).alone:
        raise InvalidIntervention(
            f"vector {vector.header.name!r}: one latent's activation does not follow from its own row under "
            f"{msgspec.to_builtins(autoencoder_of(vector.header))}; add its decoder row instead: "
            "`symposia vector fit SAE --method latent:INDEX`"
        )
    if edit.index >= len(encoder_FD):
        raise InvalidIntervention(
            f"vector {vector.header.name!r} has latents 0..{len(encoder_FD) - 1}; got {edit.index}"
        )
    key, i = (vector.digest, layer, edit.index), edit.index
    threshold = vector.tensors.get(f"threshold.{layer}")
    write_D = vector.tensors[f"decoder.{layer}"][i]
    unit = Row(("decoder unit", *key), write_D / write_D.norm().clamp_min(1e-12))
    part = Part(
        kind=Kind.LATENT,
        read=Row(("encoder", *key), encoder_FD[i]),
        write=Row(("decoder", *key), write_D),
        flags={"clamp": Flag.NONE, "add": Flag.SUM, "scale": Flag.PRODUCT}[edit.mode],
        a=edit.target,
        b=float(vector.tensors[f"encoder_bias.{layer}"][i]),
        c=0.0 if threshold is None else float(threshold[i]),
    )
    return Term(parts=(part,), watch=(unit,))


def _from(edit: Intervention, layer: int) -> int:
    return layer if edit.direction_from is None else edit.direction_from


def rows_of(vector: SteeringVector, layer: int, asked: str) -> Tensor:
    """A file's direction `[D]` or rows `[k, D]` of a layer; `InvalidIntervention` if it has none there."""
    if layer not in vector.directions:
        raise InvalidIntervention(
            f"{asked}: vector {vector.header.name!r} ({vector.header.kind}) has no direction for layer {layer}; "
            f"it has {list(vector.directions)}; name those, or choose one for all layers with direction_from"
        )
    return vector.directions[layer]


def direction(vector: SteeringVector, layer: int, asked: str) -> Row:
    """The single direction of a file's layer; `InvalidIntervention` if there is no such."""
    rows = rows_of(vector, layer, asked)
    if rows.dim() != 1:
        raise InvalidIntervention(
            f"{asked} needs a direction; vector {vector.header.name!r} is a {vector.header.kind}"
        )
    return Row(("unit", vector.digest, layer), vector.units(layer)[0])


def _direction(edit: Intervention, vector: SteeringVector, layer: int) -> Row:
    return direction(vector, _from(edit, layer), _name(edit))


def _basis(edit: Ablate, vector: SteeringVector, layer: int) -> tuple[Row, ...]:
    at = _from(edit, layer)
    rows_of(vector, at, _name(edit))
    rows_kD = vector.units(at)
    if len(rows_kD) == 1:
        return (Row(("unit", vector.digest, at), rows_kD[0]),)
    return tuple(Row(("basis", vector.digest, at, k), q_D) for k, q_D in enumerate(rows_kD))


def _plane(edit: Angle, vector: SteeringVector, layer: int) -> tuple[Row, Row]:
    at = _from(edit, layer)
    rows_2D = rows_of(vector, at, _name(edit))
    if rows_2D.dim() != 2 or len(rows_2D) != 2:
        raise InvalidIntervention(
            f"angle needs a plane [2, D]; vector {vector.header.name!r} is a {vector.header.kind}"
        )
    first_D, second_D = vector.units(at)
    return Row(("plane", vector.digest, at, 0), first_D), Row(("plane", vector.digest, at, 1), second_D)


def _unit(edit: Add | Set | Cap, source: Source, layer: int, unit: Unit, *, sign: float = 1.0) -> float:
    vector = source.vectors[edit.vector]
    own = vector.header.layers.get(str(layer))
    reference = own.reference_norm if own else None
    match unit:
        case "absolute" | "relative":
            return 1.0
        case "fitted":
            at = _from(edit, layer)
            return _known(vector, at, unit, vector.notes(at).fitted_norm)
        case "reference":
            return _known(vector, layer, unit, reference)
        case "calibrated":
            m = _known(vector, layer, "reference", reference)
            return m * _calibrated(edit, vector, sign)


def _calibrated(edit: Add | Set | Cap, vector: SteeringVector, sign: float) -> float:
    known = vector.header.calibration
    layers = edit.layers or vector.layers
    counts = known is not None and sorted(known.layers) == sorted(layers)
    value = (known.plus if sign >= 0 else known.minus) if known is not None and counts else None
    if known is not None and not counts:
        raise InvalidIntervention(
            f"vector {vector.header.name!r} is calibrated for layers {list(known.layers)} together; "
            f"got {list(layers)}; name exactly those, or calibrate it for these with `symposia vector calibrate`"
        )
    return _known(vector, layers[0], "calibrated", value)


_WAYS_OUT = {
    "fitted": "give the size in unit='absolute'",
    "reference": "fit it with `symposia vector fit`, which stores reference norms",
    "calibrated": "calibrate it with `symposia vector calibrate`",
}


def _known(vector: SteeringVector, layer: int, unit: str, value: float | None) -> float:
    if value is None:
        raise UnsupportedRequest(
            endpoint="engine",
            model=vector.header.model.name,
            feature=f"unit={unit}",
            why=f"vector {vector.header.name!r} has no {unit} norm at layer {layer}",
            way_out=_WAYS_OUT[unit],
        )
    return value


def _name(edit: Intervention) -> str:
    return type(edit).__name__.lower()
