"""What a fit gives: a vector file's header, and what is to be thought of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from symposia.core.errors import InvalidInput

from .diagnose import Diagnosis
from .methods import DiffMean, Logistic, MeanCentre, Method
from .taps import ModelShape
from .vector import FittedOn, Header, LayerNotes, Reading, SteeringVector

SINK = 8.0  # rows of more than so many times the median norm are no content (arXiv 2603.05498, 2605.08504)


@dataclass(frozen=True)
class Fitted:
    """A vector ready for a `Library`, and what is to be thought of it."""

    vector: SteeringVector
    diagnosis: Diagnosis


def check_per(read: Reading, method: Method, *, paired: bool) -> bool:
    """Whether samples count by their tokens; refuses what that has no meaning for."""
    if read.per == "sample":
        return False
    if paired or read.pool != "mean" or not isinstance(method, DiffMean | MeanCentre):
        raise InvalidInput(
            "Reading.per='token' is a mean over all tokens: it goes with diff_mean or mean_centre, pool='mean', and "
            "without pair_by"
        )
    return True


def method_of(method: Method) -> dict[str, Any]:
    """What a vector file says of its method."""
    told = msgspec.to_builtins(method)
    return {"type": told.pop("type"), "params": told}


def header_of(
    shape: ModelShape,
    read: Reading,
    method: Method,
    *,
    notes: Mapping[int, LayerNotes],
    width: int,
    data: dict[str, Any],
    name: str,
) -> Header:
    """The header of a direction fitted on a model's activations of `width` numbers."""
    return Header(
        name=name,
        model=FittedOn(
            name=shape.name, digest=shape.digest, type=shape.type, layers=shape.layers, width=width
        ),
        template=shape.template,
        tokenizer=shape.tokenizer,
        dtype=shape.dtype,
        read=read,
        method=method_of(method),
        use="readout" if isinstance(method, Logistic) and not method.pattern else "lever",
        data=data,
        layers={str(layer): note for layer, note in notes.items()},
    )
