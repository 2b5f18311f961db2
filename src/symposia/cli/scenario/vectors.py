"""Vectors in a scenario file: named by digest, or by a file whose digest takes its place."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from symposia.core.errors import InvalidInput, SymposiaError
from symposia.core.intervention import Intervention

if TYPE_CHECKING:
    from symposia.interp.vector import SteeringVector

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_FIELDS = ("vector", "source", "target", "plane", "sae", "means")
Name = Callable[[str, tuple[str, ...]], str]


def is_digest(text: str) -> bool:
    """Whether a text is a whole digest."""
    return _DIGEST.fullmatch(text) is not None


def named_by_digest(intervention: Intervention, name: Name) -> Intervention:
    """The intervention with each vector it names replaced by `name(text, path of the field)`."""
    plain: dict[str, Any] = msgspec.to_builtins(intervention)
    for field in _FIELDS:
        if isinstance(plain.get(field), str):
            plain[field] = name(plain[field], (field,))
    if plain.get("gate"):
        plain["gate"]["vector"] = name(plain["gate"]["vector"], ("gate", "vector"))
    made: Intervention = msgspec.convert(plain, Intervention)
    return made


def read_vector(path: Path) -> SteeringVector:
    """A vector file; `InvalidInput` says what it holds instead."""
    from symposia.interp.vector import load_vector

    try:
        return load_vector(path)
    except SymposiaError as error:
        raise InvalidInput(str(error)) from error
