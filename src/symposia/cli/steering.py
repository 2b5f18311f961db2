"""`VECTOR:SCALE` on the command line: a vector file or digest, how much of it, and perhaps where."""

from __future__ import annotations

from pathlib import Path

from symposia.core.errors import InvalidInput
from symposia.core.intervention import Add

from .scenario.vectors import is_digest, read_vector

_FORM = "VECTOR:SCALE or VECTOR:SCALE@LAYER,LAYER, where VECTOR is a *.safetensors file or a digest"


def steering(text: str) -> Add:
    """An `Add` of the vector in its fitted units; a file is loaded into the engine's library."""
    whole, _, places = text.partition("@")
    vector, colon, scale = whole.rpartition(":")
    if not colon or not vector:
        raise InvalidInput(f"steer {text!r}: expected {_FORM}")
    try:
        amount = float(scale)
        layers = tuple(int(place) for place in places.split(",") if place)
    except ValueError as error:
        raise InvalidInput(f"steer {text!r}: expected {_FORM}") from error
    return Add(vector=vector_digest(vector), scale=amount, layers=layers)


def vector_digest(name: str) -> str:
    """The digest of a vector by digest, file or name; a file is loaded into the engine's library."""
    from symposia.facade import engines

    if is_digest(name):
        return name
    if Path(name).is_file():
        return engines().library.add(read_vector(Path(name)))
    return engines().library.find(name).digest
