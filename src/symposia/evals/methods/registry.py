"""The methods by name: closed when this is imported. Others are named by their path, `pkg.mod:factory`.

A method is written `name`, or `name:options`: what stands alone is its number of samples, the rest `key=value`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType
from typing import Literal, TypeVar

import msgspec

from symposia.core.errors import InvalidInput, UnknownName
from symposia.core.value import Value

from .classic import Classic
from .debated import Debated, DebateOptions
from .method import Method
from .self_consistency import Much, SelfConsistency
from .single import Single
from .universal import UniversalSelfConsistency

O = TypeVar("O", bound=Value)  # noqa: E741
ALIASES: Mapping[str, str] = MappingProxyType(
    {
        "sc": "self_consistency",
        "sc@calls": "self_consistency:calls",
        "sc@tokens": "self_consistency:tokens",
        "usc": "universal_self_consistency",
        "usc@calls": "universal_self_consistency:calls",
        "debate": "parallel_consensus",
    }
)
DEFAULT = ("single", "sc@calls", "sc@tokens", "usc@calls", "debate")


class NoOptions(Value, frozen=True):
    """Nothing can be chosen."""


class Sampling(Value, frozen=True, kw_only=True):
    """How many samples: a number, or what the debate's calls or tokens pay for."""

    n: int | Literal["calls", "tokens"]


class ChosenSampling(Value, frozen=True, kw_only=True):
    """How many calls in all: a number, or the debate's."""

    n: int | Literal["calls"]


@dataclass(frozen=True)
class Factory:
    """The options a method takes, as a type, and the method with the options a text gives."""

    options: type[Value]
    make: Callable[[str, str], Method]


def _factory(options: type[O], make: Callable[[O], Method], alone: str = "") -> Factory:
    """A factory that reads options strictly; `alone` is the option that needs no key."""
    return Factory(options, lambda name, text: make(_read(options, name, text, alone)))


def _sampled(options: Sampling) -> Method:
    return SelfConsistency(_much(options.n))


def _universal(options: ChosenSampling) -> Method:
    much = options.n
    if isinstance(much, int) and much < 2:
        raise InvalidInput(f"universal_self_consistency: expected at least 2 calls; got {much}")
    return UniversalSelfConsistency(much)


def _much(much: Much) -> Much:
    if isinstance(much, int) and much < 1:
        raise InvalidInput(f"self_consistency: expected at least 1 sample; got {much}")
    return much


PROTOCOLS: Mapping[str, Factory] = MappingProxyType(
    {
        "single": _factory(NoOptions, lambda _: Single()),
        "single_tools": _factory(NoOptions, lambda _: Single(tools=True)),
        "self_consistency": _factory(Sampling, _sampled, alone="n"),
        "universal_self_consistency": _factory(ChosenSampling, _universal, alone="n"),
        "parallel_consensus": _factory(DebateOptions, Debated),
        "tool_grounded": _factory(DebateOptions, lambda options: Debated(options, tools=True)),
        "classic": _factory(DebateOptions, Classic),
    }
)


def method(written: str) -> Method:
    """The method a text names. Raises `UnknownName` for a name or an option, `InvalidInput` for a value."""
    whole = ALIASES.get(written, written)
    name, _, options = whole.partition(":")
    if "." in name:
        return _by_path(whole)
    name = ALIASES.get(name, name)
    if name not in PROTOCOLS:
        raise UnknownName("method", written, (*PROTOCOLS, *ALIASES, "pkg.mod:factory"))
    return PROTOCOLS[name].make(name, options)


def _read(kind: type[O], name: str, text: str, alone: str) -> O:
    fields = kind.__struct_fields__
    given: dict[str, str] = {}
    for part in filter(None, text.split(",")):
        key, equals, value = part.partition("=")
        if not equals and alone:
            key, value = alone, part
        if key not in fields:
            raise UnknownName(f"option of {name}", key, fields)
        given[key] = value
    try:
        return msgspec.convert(given, kind, strict=False)
    except msgspec.ValidationError as error:
        raise InvalidInput(
            f"{name}:{text}: {error}; its options are {', '.join(fields) or 'none'}"
        ) from error


def _by_path(path: str) -> Method:
    """A user's own: a function without arguments that gives a method."""
    module, _, name = path.partition(":")
    try:
        found = vars(import_module(module)).get(name)
    except ImportError as error:
        raise InvalidInput(f"method {path!r}: {error}; expected pkg.mod:factory") from error
    if not callable(found):
        raise InvalidInput(f"method {path!r}: {module} has no function {name!r}")
    made: Method = found()
    return made
