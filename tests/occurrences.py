"""What can happen at a server, drawn: any event with any values, its words from a strategy that the test chooses."""

from __future__ import annotations

import types
from functools import reduce
from operator import or_
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
from hypothesis import reject
from hypothesis import strategies as st

from symposia.core.errors import InvalidInput
from symposia.core.served import RequestServed, ServerEvent

WORDS = st.text(max_size=12)
COUNTS = st.integers(0, 1_000_000)
SECONDS = st.floats(0, 1e6, allow_nan=False)
KINDS: tuple[type, ...] = get_args(ServerEvent)


def any_event(words: st.SearchStrategy[str] = WORDS) -> st.SearchStrategy[Any]:
    """Any event there is."""
    return reduce(or_, (any_of(kind, words) for kind in KINDS))


def any_of(kind: Any, words: st.SearchStrategy[str] = WORDS) -> st.SearchStrategy[Any]:
    """Any value of a type that an event can hold."""
    origin, inside = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return COUNTS if inside[0] is int else any_of(inside[0], words)
    if origin is Literal:
        return st.sampled_from(inside)
    if origin in (Union, types.UnionType):
        return reduce(or_, (any_of(each, words) for each in inside))
    if origin is tuple and inside[-1] is Ellipsis:
        return st.lists(any_of(inside[0], words), max_size=2).map(tuple)
    if origin is tuple:
        return st.tuples(*(any_of(each, words) for each in inside))
    if origin is dict:
        return st.dictionaries(words, words, max_size=2)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        hints = get_type_hints(kind, include_extras=True)
        fields = {name: any_of(hints[name], words) for name in kind.__struct_fields__}
        return st.fixed_dictionaries(fields).map(lambda given: _made(kind, given))
    plain = {str: words, int: COUNTS, float: SECONDS, bool: st.booleans(), type(None): st.none(), Any: words}
    return plain[kind]


def _made(kind: Any, given: dict[str, Any]) -> Any:
    """The value, if such a one may be."""
    try:
        return kind(**given)
    except InvalidInput:
        reject()


def served(**fields: Any) -> RequestServed:
    """A request that went well, but for what is said."""
    usual: dict[str, Any] = {
        "request_id": "req_1",
        "key": "k",
        "model": "tiny",
        "status": 200,
        "outcome": "ok",
        "finish_reasons": ("stop",),
        "latency_ms": 20.0,
        "backend_ms": 15.0,
        "ttft_ms": 5.0,
        "prompt_tokens": 10,
        "completion_tokens": 4,
    }
    return RequestServed(**{**usual, **fields})
