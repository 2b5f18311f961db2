"""An event as text and back. What is kept reads back equal; what would not is refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, get_args

import msgspec
from msgspec.structs import asdict

from symposia.core.errors import InvalidInput
from symposia.core.store import Logged, Unkeepable

TYPES: Final[Mapping[type, str]] = {kind: str(kind.__struct_config__.tag) for kind in get_args(Logged)}
"""What the log calls each type of event."""

_encode = msgspec.json.Encoder(order="deterministic").encode  # the tag first: no reader has to look for it
_decode: Any = msgspec.json.Decoder(Logged).decode


def text_of(event: Logged) -> str:
    """The event's JSON, of which `event_of` makes an equal one; `Unkeepable` names the field that does not fit."""
    try:
        raw = _encode(event)
        back = _decode(raw)
    except msgspec.ValidationError as error:
        raise Unkeepable(f"event {type(event).__name__}: {error}") from error
    except (TypeError, ValueError) as error:
        raise Unkeepable(f"event {type(event).__name__}: {error} - at `$.{_unwritten(event)}`") from error
    if back != event:  # a NaN has become null, a list a tuple
        raise Unkeepable(
            f"event {type(event).__name__}: Expected what JSON keeps as it is - at `$.{_changed(event, back)}`"
        )
    return raw.decode()


def event_of(text: str, what: str) -> Logged:
    """The event that was written; `InvalidInput` says of `what` which field does not fit."""
    try:
        event: Logged = _decode(text)
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise InvalidInput(f"{what}: {error}") from error
    return event


def _unwritten(event: Logged) -> str:
    """The first field that has no JSON."""
    for name, value in asdict(event).items():
        try:
            _encode(value)
        except (TypeError, ValueError):
            return name
    raise AssertionError(f"every field of {event} has JSON, but not the whole")


def _changed(event: Logged, back: Logged) -> str:
    """The first field that reads back as another; `type`, if it is none."""
    found = asdict(back)
    return next((name for name, value in asdict(event).items() if found[name] != value), "type")
