"""Calls written as JSON: an object with a name and arguments. What is wrong with one becomes its error."""

from __future__ import annotations

import json
import math
from typing import Any

import msgspec

from symposia.core.message import ToolCall
from symposia.core.value import canonical

UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError, TypeError)
_SHOWN = 200  # characters of a malformed call in its error
_EXPECTED = "JSON with name and arguments"


def read_call(body: str, index: int, *, closed: bool = True, end: str = "</tool_call>") -> ToolCall:
    """The call that is all of `body`; `closed` false: the reply ended before `end` came."""
    if not closed:
        return unfinished(index, end)
    try:
        return call_of(decoded(body), index)
    except UNREADABLE as error:
        return malformed(index, _EXPECTED, body, why=str(error))


def read_calls(body: str, index: int) -> tuple[ToolCall, ...]:
    """The calls of one object or of a list of them."""
    try:
        value = decoded(body)
    except UNREADABLE as error:
        return (malformed(index, _EXPECTED, body, why=str(error)),)
    return calls_of(value, index)


def calls_of(value: object, index: int) -> tuple[ToolCall, ...]:
    """The calls in one decoded object or list."""
    values = value if isinstance(value, list) and value else [value]
    return tuple(call_of(each, index + n) for n, each in enumerate(values))


def call_of(value: object, index: int) -> ToolCall:
    """The call in a decoded object; `parameters` is another word for `arguments`, none at all are no arguments."""
    if not isinstance(value, dict) or not isinstance(value.get("name"), str):
        return malformed(index, _EXPECTED, value)
    given = value.get("id")
    arguments = value.get("arguments", value.get("parameters"))
    return call_with(value["name"], arguments, index, given_id=given if isinstance(given, str) else "")


def read_arguments(name: str, body: str, index: int) -> ToolCall:
    """A call of that name with the object that is all of `body`."""
    try:
        return call_with(name, decoded(body), index)
    except UNREADABLE as error:
        if not storable(name):
            name = ""
        return malformed(index, "a JSON object of arguments", body, why=str(error), name=name)


def call_with(name: str, arguments: object, index: int, *, given_id: str = "") -> ToolCall:
    """A call of that name. Arguments encoded twice are decoded once more; they must be an object that can be stored."""
    made = given_id or _id(index)
    try:
        if isinstance(arguments, str):
            arguments = decoded(arguments)
        if arguments is None:
            arguments = {}
        if not isinstance(arguments, dict):
            kind = type(arguments).__name__
            return ToolCall(id=made, name=name, error=f"expected an object of arguments; got {kind}")
        canonical((name, made, arguments))
    except UNREADABLE as error:
        if not storable(name, made):
            return malformed(index, "a name that can be stored", name)
        return ToolCall(id=made, name=name, error=f"expected an object of arguments ({error})")
    return ToolCall(id=made, name=name, arguments=arguments)


def storable(*texts: str) -> bool:
    """Whether the texts are text: half of a surrogate pair is not."""
    try:
        "".join(texts).encode()
    except UnicodeEncodeError:
        return False
    return True


def malformed(index: int, expected: str, got: object, *, why: str = "", name: str = "") -> ToolCall:
    """A call that could not be read, as data."""
    said = repr(got.strip()[:_SHOWN]) if isinstance(got, str) else repr(got)[:_SHOWN]
    reason = f" ({why})" if why else ""
    error = f"expected {expected}; got {said}{reason}"
    return ToolCall(id=_id(index), name=name, error=error.encode("utf-8", "backslashreplace").decode())


def unfinished(index: int, end: str, *, name: str = "") -> ToolCall:
    """A call that the reply's end cut off."""
    return ToolCall(id=_id(index), name=name, error=f"expected {end} after the call; the reply ended first")


def decoded(text: str) -> Any:
    """The JSON value that is all of `text`. Raises one of `UNREADABLE`."""
    return msgspec.json.decode(text.encode("utf-8", "surrogatepass"))


def first_value(text: str, at: int) -> tuple[Any, int]:
    """The JSON value that begins at `at`, and where it ends. Raises one of `UNREADABLE`."""
    value, end = _decoder.raw_decode(text, at)
    return value, end


def _id(index: int) -> str:
    return f"call_{index}"


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is out of range")
    return number


def _no_constant(text: str) -> float:
    raise ValueError(f"{text} is not JSON")


_decoder = json.JSONDecoder(parse_float=_finite, parse_constant=_no_constant)
