"""From bytes to a request, or to a fault that names the field.

The decoder does it in one pass; only a body that it refuses is walked, field by field, for the exact path.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec

from symposia.core.value import decoder
from symposia.serve.faults import Fault

from .chat import ChatRequest, Limits
from .diagnose import diagnosed, whole_numbers

T = TypeVar("T", bound=msgspec.Struct)
_UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError)
_decode = msgspec.json.Decoder(ChatRequest).decode


def read(raw: bytes, limits: Limits) -> ChatRequest:
    """The request in a body. Raises `Fault` 400 whose `param` is the JSON path of the first field at fault."""
    try:
        ask = _decode(raw)
    except _UNREADABLE as error:
        ask = _mended(raw, ChatRequest, error)
    _check(ask, limits)
    return ask


def read_as(raw: bytes, kind: type[T]) -> T:
    """Any other body, as `kind` has it; the same faults."""
    try:
        value: T = decoder(kind).decode(raw)
    except _UNREADABLE as error:
        value = _mended(raw, kind, error)
    return value


def _mended(raw: bytes, kind: type[T], error: Exception) -> T:
    """The value, if all that was wrong with it are whole numbers with a point."""
    again = whole_numbers(raw)
    if again is not None:
        try:
            value: T = decoder(kind).decode(again)
        except _UNREADABLE as still:
            raw, error = again, still
        else:
            return value
    raise diagnosed(raw, kind, error)


def _check(ask: ChatRequest, limits: Limits) -> None:
    """What a type cannot say: numbers of this server, and fields that contradict each other."""
    if len(ask.messages) > limits.max_messages:
        raise _value("messages", f"at most {limits.max_messages} messages", str(len(ask.messages)))
    if ask.n is not None and ask.n > limits.max_n:
        raise _value("n", f"1 to {limits.max_n}", str(ask.n))
    if ask.max_tokens is not None and ask.max_completion_tokens not in (None, ask.max_tokens):
        raise _value(
            "max_completion_tokens",
            f"the same as max_tokens ({ask.max_tokens}), or one of the two only",
            str(ask.max_completion_tokens),
        )
    if ask.top_logprobs is not None and not ask.logprobs:
        raise _value("top_logprobs", "`logprobs: true` beside it", "no logprobs")
    if ask.stream_options is not None and not ask.stream:
        raise _value("stream_options", "`stream: true` beside it", "no stream")
    _check_shut(ask)


def _check_shut(ask: ChatRequest) -> None:
    """Fields of which one value only can be honoured."""
    if ask.store:
        raise _shut("store", "false: nothing is stored for later retrieval")
    if ask.parallel_tool_calls is False:
        raise _shut("parallel_tool_calls", "true, or nothing: the number of calls is the model's choice")
    if ask.stream_options is not None and ask.stream_options.include_obfuscation:
        raise _shut("stream_options.include_obfuscation", "false: chunks are not padded")


def _value(param: str, expected: str, got: str) -> Fault:
    return Fault("invalid_value", f"{param}: expected {expected}; got {got}", param=param)


def _shut(param: str, expected: str) -> Fault:
    return Fault("unsupported_parameter", f"{param}: expected {expected}", param=param)
