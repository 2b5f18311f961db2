"""What the options of the vector commands say: a method with its options, layers, a model's inside."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import msgspec

from symposia.core.errors import InvalidInput, UnsupportedRequest

if TYPE_CHECKING:
    from symposia.engine import Engine
    from symposia.interp.methods import Method
    from symposia.interp.metric import Model


def method_of(text: str) -> Method:
    """`NAME`, or `NAME:OPTION,OPTION=VALUE`: `logistic:pattern`, `pca:centre`, `lda:shrink=0.1`."""
    from symposia.interp.methods import Method

    known = {str(kind.__struct_config__.tag): kind for kind in get_args(Method)}
    name, colon, rest = text.partition(":")
    options = dict(_option(part) for part in rest.split(",")) if colon else {}
    if name not in known or "" in options:
        told = ", ".join(_form(tag, kind) for tag, kind in known.items())
        raise InvalidInput(f"method {text!r}: expected one of {told}, or latent:INDEX of an autoencoder")
    try:
        made: Method = msgspec.convert({"type": name, **options}, Method, strict=False)
    except msgspec.ValidationError as error:
        raise InvalidInput(f"method {text!r}: {error}; expected {_form(name, known[name])}") from error
    return made


def layers_of(text: str) -> tuple[int, ...]:
    """`14`, `14,15` or `3-6,9`; all of them for an empty text."""
    found: list[int] = []
    for part in text.split(",") if text else ():
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise InvalidInput(f"layers {text!r}: expected block indexes as 14,15 or 3-6; got {part!r}")
        found += range(int(first), int(last or first) + 1)
    if len(set(found)) != len(found):
        raise InvalidInput(f"layers {text!r}: each is named once")
    return tuple(found)


def engine_of(model: str, feature: str) -> Engine:
    """The local engine of an address; `UnsupportedRequest` for an endpoint, which has no inside."""
    from symposia.backends.endpoints import HOSTED
    from symposia.core.models import resolve
    from symposia.facade import engines

    found = resolve(model, HOSTED)
    if found.source == "endpoint":
        raise UnsupportedRequest(
            endpoint=found.canonical, model=model, feature=feature, way_out="name a local model"
        )
    return engines().engine(found.canonical)


def inside_of(model: str, feature: str) -> Model:
    """The same, as `symposia.interp` asks it."""
    from symposia.facade import local_model

    return local_model(engine_of(model, feature).shape.name)


def _option(part: str) -> tuple[str, object]:
    name, equals, value = (piece.strip() for piece in part.partition("="))
    return name, value if equals else True


def _form(tag: str, kind: type[msgspec.Struct]) -> str:
    fields = kind.__struct_fields__
    return f"{tag}[:{','.join(fields)}]" if fields else tag
