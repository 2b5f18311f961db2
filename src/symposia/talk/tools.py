"""Tools: what a model may call. A tool is a value; a box resolves names; there is no global registry.

The specification a profile holds and the tool that runs must agree, so that a profile's digest says what was offered.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, overload

import msgspec

from symposia.core.errors import InvalidInput, UnknownName
from symposia.core.profile import Participant
from symposia.core.toolspec import ToolSpec
from symposia.core.value import checked

from .boundary import in_thread
from .signature import arguments_type, in_words, parameters_of

TIMEOUT_S = 30.0
MAX_CHARS = 16_000
Function = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Returned:
    """What a call gave: text for the model, and whether it is an error."""

    text: str
    error: bool = False


Run = Callable[[dict[str, Any]], Awaitable[Returned]]
"""Answers one call with these arguments. What it raises becomes an error result."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tool:
    """What the model is told (`spec`), and what answers its calls.

    `open` gives the answering function for one turn, and takes it back when the turn ends: state between calls lives
    there. A call is cut off after `timeout_s` (None: the tool bounds itself), its text after `max_chars` characters.
    """

    spec: ToolSpec
    open: Callable[[], AbstractAsyncContextManager[Run]]
    timeout_s: float | None = TIMEOUT_S
    max_chars: int = MAX_CHARS
    function: Function | None = None

    @staticmethod
    def of(
        function: Function,
        *,
        timeout_s: float | None = TIMEOUT_S,
        max_chars: int = MAX_CHARS,
        name: str = "",
        description: str = "",
    ) -> Tool:
        """A tool from a typed function: name, docstring and annotations are the specification.

        Arguments are converted strictly by the annotations; a plain function runs in a thread, a coroutine function in
        the event loop. What it returns is shown as it is if text, else as JSON. `InvalidInput` for a parameter without
        annotation, `*args`, `**kwargs`, and types that JSON cannot hold.
        """
        called = name or _name(function)
        if timeout_s is not None and timeout_s <= 0:
            raise InvalidInput(f"tool {called}: timeout_s: expected more than 0 seconds; got {timeout_s}")
        if max_chars < 1:
            raise InvalidInput(f"tool {called}: max_chars: expected at least 1; got {max_chars}")
        arguments = arguments_type(function, called)
        told = ToolSpec(
            name=called,
            description=description or inspect.getdoc(function) or "",
            parameters=parameters_of(arguments, called),
        )
        return Tool(
            spec=checked(told),
            open=_always(_runner(function, arguments, told)),
            timeout_s=timeout_s,
            max_chars=max_chars,
            function=function,
        )

    @property
    def name(self) -> str:
        """What a model calls it."""
        return self.spec.name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The function itself, where the tool was made from one."""
        if self.function is None:
            raise InvalidInput(f"tool {self.name} was not made from a function; only a model calls it")
        return self.function(*args, **kwargs)


@overload
def tool(function: Function) -> Tool: ...
@overload
def tool(
    *, timeout_s: float | None = TIMEOUT_S, max_chars: int = MAX_CHARS
) -> Callable[[Function], Tool]: ...
def tool(
    function: Function | None = None, *, timeout_s: float | None = TIMEOUT_S, max_chars: int = MAX_CHARS
) -> Tool | Callable[[Function], Tool]:
    """Make a typed function a tool: `@tool`, or `@tool(timeout_s=5)`. See `Tool.of`."""

    def made(decorated: Function) -> Tool:
        return Tool.of(decorated, timeout_s=timeout_s, max_chars=max_chars)

    return made if function is None else made(function)


class ToolBox:
    """Tools by name; functions are made tools. Immutable."""

    def __init__(self, *tools: Tool | Function) -> None:
        made = [each if isinstance(each, Tool) else Tool.of(each) for each in tools]
        self._tools: Mapping[str, Tool] = {each.name: each for each in made}
        if len(self._tools) != len(made):
            names = [each.name for each in made]
            twice = next(name for name in names if names.count(name) > 1)
            raise InvalidInput(f"two tools are called {twice!r}; a box holds one of each name")

    @property
    def specs(self) -> tuple[ToolSpec, ...]:
        """What profiles hold."""
        return tuple(each.spec for each in self._tools.values())

    def __iter__(self) -> Iterator[Tool]:
        return iter(self._tools.values())

    def __len__(self) -> int:
        return len(self._tools)

    def __getitem__(self, name: str) -> Tool:
        if name not in self._tools:
            raise UnknownName("tool", name, self._tools)
        return self._tools[name]

    def __or__(self, other: ToolBox) -> ToolBox:
        """Both boxes' tools; one and the same tool in both counts once."""
        return ToolBox(*self, *(each for each in other if self._tools.get(each.name) is not each))

    def check(self, participant: Participant) -> None:
        """Refuse a participant who was promised a tool that is not here, or another than is here."""
        for spec in participant.profile.tools:
            if spec.name not in self._tools:
                have = ", ".join(self._tools) or "no tools"
                raise InvalidInput(
                    f"{participant.name} has the tool {spec.name!r}, but the kit holds {have}; "
                    f"add it: Kit(tools=ToolBox({spec.name}, ...))"
                )
            place = _differs(msgspec.to_builtins(spec), msgspec.to_builtins(self[spec.name].spec), "")
            if place is not None:
                raise InvalidInput(
                    f"{participant.name}'s tool {spec.name!r} is not the one in the kit: they differ in "
                    f"{place[0]}: the profile says {place[1]}, the tool {place[2]}; "
                    "take the tool the profile was made with, or give the profile the tool's own spec"
                )


def offered(participants: Sequence[Participant], tools: Tools) -> tuple[tuple[Participant, ...], ToolBox]:
    """The participants with tools added to their profiles, and the box that runs them.

    `tools` are for everybody, or by name.
    """
    named = tools if isinstance(tools, Mapping) else {p.name: tools for p in participants}
    known = [p.name for p in participants]
    for name in named:
        if name not in known:
            raise UnknownName("participant with tools", name, known)
    made: dict[int, Tool] = {}  # one function given to several participants is one tool

    def as_tool(given: Tool | Function) -> Tool:
        if isinstance(given, Tool):
            return given
        return made.setdefault(id(given), Tool.of(given))

    boxes = {name: ToolBox(*map(as_tool, given)) for name, given in named.items()}
    whole = ToolBox()
    for box in boxes.values():
        whole |= box
    return tuple(_with_tools(p, boxes.get(p.name, ToolBox())) for p in participants), whole


Tools = Sequence[Tool | Function] | Mapping[str, Sequence[Tool | Function]]
"""Tools for everybody, or by participant."""


def _with_tools(participant: Participant, box: ToolBox) -> Participant:
    profile = participant.profile
    had = {spec.name for spec in profile.tools}
    specs = (*profile.tools, *(spec for spec in box.specs if spec.name not in had))
    return msgspec.structs.replace(participant, profile=msgspec.structs.replace(profile, tools=specs))


def _name(function: Function) -> str:
    return function.__name__ if inspect.isroutine(function) else type(function).__name__


def _always(run: Run) -> Callable[[], AbstractAsyncContextManager[Run]]:
    """A tool without state: every turn gets the same function."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[Run]:
        yield run

    return opened


def read_arguments(
    given: dict[str, Any], arguments: type[msgspec.Struct], told: ToolSpec
) -> dict[str, Any] | Returned:
    """The arguments of a call, strictly converted; or the error result that says what was expected."""
    try:
        read = msgspec.convert(given, arguments, strict=True)
    except msgspec.ValidationError as error:
        got = msgspec.json.encode(given).decode()[:500]
        return Returned(f"{told.name}: {error}; expected {in_words(told.parameters)}; got {got}", error=True)
    return dict(zip(arguments.__struct_fields__, msgspec.structs.astuple(read), strict=True))


def _runner(function: Function, arguments: type[msgspec.Struct], told: ToolSpec) -> Run:
    awaited = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)

    async def run(given: dict[str, Any]) -> Returned:
        read = read_arguments(given, arguments, told)
        if isinstance(read, Returned):
            return read
        result = await function(**read) if awaited else await in_thread(lambda: function(**read))
        return Returned(result if isinstance(result, str) else msgspec.json.encode(result).decode())

    return run


def _differs(wanted: Any, have: Any, path: str) -> tuple[str, str, str] | None:
    """The first place where two plain values differ, and what stands there; None if nowhere."""
    if isinstance(wanted, dict) and isinstance(have, dict):
        for key in dict.fromkeys((*wanted, *have)):
            below = f"{path}.{key}" if path else str(key)
            if key not in wanted or key not in have:
                return below, _shown(wanted.get(key)), _shown(have.get(key))
            if found := _differs(wanted[key], have[key], below):
                return found
        return None
    return None if wanted == have else (path, _shown(wanted), _shown(have))


def _shown(value: Any) -> str:
    return "nothing" if value is None else msgspec.json.encode(value).decode()[:120]
