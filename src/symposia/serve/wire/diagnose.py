"""Why a body was refused, and where: the fault of the first misfit."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import msgspec
from msgspec import inspect

from symposia.serve.faults import Fault

from .known import SHUT, foreign, part_of
from .walk import Misfit, Path, walk

MOST_PARAM = 200


def diagnosed(raw: bytes, kind: type[msgspec.Struct], error: Exception) -> Fault:
    """The fault for a body that `kind`'s decoder refused with `error`."""
    try:
        body = _plain(raw)
        told = foreign(body) if isinstance(body, dict) else None
        found = None if told is not None else next(walk(_described(kind), body, ()), None)
    except (msgspec.MsgspecError, UnicodeDecodeError) as refused:
        return Fault("invalid_json", f"expected a body of JSON in UTF-8; got something else: {refused}")
    except (RecursionError, ValueError):
        return Fault(
            "invalid_json", "expected JSON of reasonable depth and numbers; got more than can be read"
        )
    if told is not None:
        return told
    if found is None:
        return Fault("invalid_value", f"the body does not have the form of {kind.__name__}: {error}")
    return _fault(found)


def whole_numbers(raw: bytes) -> bytes | None:
    """The same JSON with numbers like 5.0 written 5: JSON tells them not apart. None where there are none."""
    try:
        body = msgspec.json.decode(raw)
        mended = _whole(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    again = msgspec.json.encode(mended)
    return None if again == msgspec.json.encode(body) else again


def dotted(path: Path) -> str:
    """A path as it is written in `param`: `messages[0].content`."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def _plain(raw: bytes) -> Any:
    try:
        return msgspec.json.decode(raw)
    except msgspec.ValidationError:  # a number beyond what a float holds: infinite, so the walk finds it
        return json.loads(raw)


def _whole(value: Any) -> Any:
    match value:
        case float() if value.is_integer():
            return int(value)
        case dict():
            return {key: _whole(item) for key, item in value.items()}
        case list():
            return [_whole(item) for item in value]
        case _:
            return value


@cache
def _described(kind: Any) -> inspect.Type:
    return inspect.type_info(kind)


def _fault(found: Misfit) -> Fault:
    param = dotted(found.path)
    if len(param) > MOST_PARAM:
        param = param[:MOST_PARAM] + "…"
    code, expected = found.code, found.expected
    if found.word and (shut := SHUT.get(part_of(found.path))) is not None:
        code, expected = shut
    return Fault(code, f"{param or 'the body'}: expected {expected}; got {found.got}", param=param or None)
