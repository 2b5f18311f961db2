r"""Values and their identity: the base of every frozen struct, its canonical JSON and its digest.

A digest is `sha256("symposia/TYPE/VERSION\n" + canonical JSON)`: keys sorted, defaults written out, taken
after one decode round trip so that `1` and `1.0` in a float field agree. NaN and infinity have no JSON and
are refused.
"""

from __future__ import annotations

import hashlib
import math
from functools import cache
from typing import Annotated, Any, ClassVar, TypeVar

import msgspec
from msgspec import Meta

from .errors import InvalidInput

T = TypeVar("T")
V = TypeVar("V", bound="Value")
Count = Annotated[int, Meta(ge=0)]
"""A whole number from zero up."""


class Value(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """A frozen, serialisable value. `VERSION` is raised when a field changes meaning.

    Values cannot hold themselves, so the cycle collector need not walk them: it would cost a quarter of a run.
    """

    VERSION: ClassVar[int] = 1


_encoder = msgspec.json.Encoder(order="sorted")


@cache
def decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    """The one strict JSON decoder of a type."""
    return msgspec.json.Decoder(kind)


def canonical(value: object) -> bytes:
    """Canonical JSON: sorted keys, sorted sets, defaults written out."""
    return _encoder.encode(value)


def decode(raw: bytes | str, kind: type[T], what: str = "") -> T:
    """`kind` from JSON; `InvalidInput` names the field that does not fit."""
    form: Any = kind  # type[T] is hashable, which its stub does not say
    try:
        result: T = decoder(form).decode(raw)
    except (msgspec.MsgspecError, UnicodeError) as error:
        named = what or str(form).rpartition(".")[2].rstrip("'>")
        raise InvalidInput(f"{named}: {error}") from error
    return result


def checked(value: V) -> V:
    """The same value after a strict decode round trip; `InvalidInput` names the field that does not fit."""
    return _round_trip(value, type(value))


def digest(value: Value) -> str:
    """`sha256:` and 64 hex digits naming the value's content and type."""
    return stored_digest(type(value), settled(value, type(value)))


def stored_digest(kind: type[Value], raw: bytes) -> str:
    """The digest of a value of which the canonical JSON is at hand, as it was written."""
    return content_digest(title(kind) + raw)


def title(kind: type[Value]) -> bytes:
    """What a digest of that kind begins with."""
    return f"symposia/{kind.__name__}/{kind.VERSION}\n".encode()


def settled(value: object, kind: Any) -> bytes:
    """Canonical JSON of a `kind` as it reads back; `InvalidInput` names the field that does not fit."""
    return canonical(_round_trip(value, kind))


def content_digest(raw: bytes) -> str:
    """`sha256:` and 64 hex digits of some bytes."""
    return "sha256:" + hashlib.sha256(raw).hexdigest()


def short(name: str) -> str:
    """The first 12 hex digits of a digest, for people."""
    return name.removeprefix("sha256:")[:12]


def _round_trip(value: T, kind: Any) -> T:
    try:
        decoded: T = decoder(kind).decode(canonical(value))
    except (msgspec.MsgspecError, TypeError) as error:
        _refuse_non_finite(value, type(value).__name__)
        raise InvalidInput(f"{type(value).__name__}: {error}") from error
    if decoded != value:  # a NaN or infinity became null, or an Any field held a tuple
        _refuse_non_finite(value, type(value).__name__)
    return decoded


def _refuse_non_finite(value: object, path: str) -> None:
    if isinstance(value, float):
        if not math.isfinite(value):
            raise InvalidInput(f"{path}: expected a finite number; got {value}")
    elif isinstance(value, msgspec.Struct):
        for field in value.__struct_fields__:
            _refuse_non_finite(getattr(value, field), f"{path}.{field}")
    elif isinstance(value, dict):
        for key, item in value.items():
            _refuse_non_finite(item, f"{path}.{key}")
    elif isinstance(value, tuple | list):
        for index, item in enumerate(value):
            _refuse_non_finite(item, f"{path}[{index}]")
