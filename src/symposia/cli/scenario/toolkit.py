"""The tools a scenario file asks for: names are checked when it is read; servers and code only start with a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from symposia.cli.python_file import names_of
from symposia.core.errors import BackendError, InvalidInput, UnknownName
from symposia.core.profile import Participant
from symposia.talk.scenario import Scenario
from symposia.talk.tools import Tool, ToolBox

from .form import McpServer, ScenarioForm
from .located import Path as Place
from .located import ScenarioFileError
from .tree import Tree

T = TypeVar("T")
_ENV: Final = "env:"


@dataclass(frozen=True, kw_only=True)
class Toolkit:
    """What a file says of tools. `wanted` are names by participant; nothing is started yet."""

    tree: Tree
    folder: Path
    wanted: Mapping[str, tuple[str, ...]]
    mcp: Mapping[str, McpServer] = field(default_factory=dict)
    code: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def open(self, stack: ExitStack, env: Mapping[str, str]) -> ToolBox:
        """Start the servers and load the code that somebody's tools need. What is started ends with `stack`."""
        asked = {name for names in self.wanted.values() for name in names}
        tools = [*self._built_in(asked), *self._coded(asked), *self._served(asked, stack, env)]
        return self._at(("participants",), lambda: ToolBox(*tools))

    def seated(self, scenario: Scenario, box: ToolBox) -> Scenario:
        """The scenario with each participant's tools in its profile."""
        return msgspec.structs.replace(
            scenario, participants=tuple(self._seat(p, box) for p in scenario.participants)
        )

    def _seat(self, participant: Participant, box: ToolBox) -> Participant:
        specs = tuple(box[name].spec for name in self.wanted.get(participant.name, ()))
        profile = msgspec.structs.replace(participant.profile, tools=specs)
        return msgspec.structs.replace(participant, profile=profile)

    def _built_in(self, asked: set[str]) -> Iterator[Tool]:
        for name in BUILT_IN:
            if name in asked:
                yield self._at(self._place(name), BUILT_IN[name])

    def _coded(self, asked: set[str]) -> Iterator[Tool]:
        for file, functions in self.code.items():
            if asked.isdisjoint(functions):
                continue
            defined = self._at(("code", file), partial(names_of, self.folder / file))
            for index, name in enumerate(functions):
                found = defined.get(name)
                if not callable(found):
                    has = ", ".join(n for n, v in defined.items() if callable(v) and not n.startswith("_"))
                    raise self.tree.error(
                        ("code", file, index), f"{file} has no function {name!r}; it has {has or 'none'}"
                    )
                if name in asked:
                    yield self._at(("code", file, index), partial(_named, found, name))

    def _served(self, asked: set[str], stack: ExitStack, env: Mapping[str, str]) -> Iterator[Tool]:
        for prefix, server in self.mcp.items():
            if asked.isdisjoint(names_from(prefix, server)):
                continue
            yield from self._at(("mcp", prefix), partial(self._connect, prefix, server, stack, env))

    def _connect(
        self, prefix: str, server: McpServer, stack: ExitStack, env: Mapping[str, str]
    ) -> tuple[Tool, ...]:
        from symposia.talk.mcp import McpTools

        if server.url is not None:
            opened = McpTools(server.url, only=server.only, prefix=prefix)
        else:
            from mcp import StdioServerParameters

            given = {name: _given(value, env) for name, value in server.env.items()}
            started = StdioServerParameters(
                command=server.command or "", args=list(server.args), env=given, cwd=self.folder
            )
            opened = McpTools(started, only=server.only, prefix=prefix)
        return stack.enter_context(opened).tools

    def _place(self, tool: str) -> Place:
        """Where the first participant asks for a tool."""
        for name, tools in self.wanted.items():
            if tool in tools:
                return ("participants", name, "tools", tools.index(tool))
        return ("participants",)

    def _at(self, path: Place, make: Callable[[], T]) -> T:
        try:
            return make()
        except ScenarioFileError:
            raise
        except (InvalidInput, BackendError) as error:
            raise self.tree.error(path, str(error)) from error


def check_tools(form: ScenarioForm, tree: Tree, *, allow_mcp: bool, allow_code: bool) -> None:
    """Refuse servers and code that nobody allowed, and names of tools that nothing in the file has."""
    if form.mcp and not allow_mcp:
        raise tree.error(
            ("mcp",), "these servers would be started; pass --allow-mcp to allow it", at_key=True
        )
    if form.code and not allow_code:
        raise tree.error(("code",), "this Python code would run; pass --allow-code to allow it", at_key=True)
    for prefix, server in form.mcp.items():
        if (server.command is None) == (server.url is None):
            raise tree.error(("mcp", prefix), "expected a command to start, or the url of a server")
    known = [
        *BUILT_IN,
        *(name for functions in form.code.values() for name in functions),
        *(name for prefix, server in form.mcp.items() for name in names_from(prefix, server)),
    ]
    twice = next((name for name in known if known.count(name) > 1), None)
    if twice is not None:
        raise tree.error(("code" if form.code else "mcp",), f"two tools are called {twice!r}", at_key=True)
    for person, seat in form.participants.items():
        for index, name in enumerate(seat.tools):
            here: Place = ("participants", person, "tools", index)
            if name not in known:
                raise tree.error(here, str(UnknownName("tool", name, known)))
            if name in seat.tools[:index]:
                raise tree.error(here, f"{name!r} stands here twice")


def names_from(prefix: str, server: McpServer) -> tuple[str, ...]:
    """What a server's tools are called in the file."""
    return tuple(f"{prefix}.{name}" for name in server.only)


def _named(found: Callable[..., object], name: str) -> Tool:
    """The tool of that name: a decorated function keeps its limits."""
    if not isinstance(found, Tool):
        return Tool.of(found, name=name)
    if found.name != name:
        raise InvalidInput(f"{name!r} is a tool called {found.name!r}; use that name")
    return found


def _given(value: str, env: Mapping[str, str]) -> str:
    """A value for a server's environment; `env:NAME` passes on one of ours."""
    if not value.startswith(_ENV):
        return value
    name = value.removeprefix(_ENV)
    if name not in env:
        raise InvalidInput(f"the environment has no {name}; set it, or write the value itself")
    return env[name]


def _calculator() -> Tool:
    from symposia.talk.calculator import calculator

    return calculator


def _python() -> Tool:
    from symposia.talk.python_tool import python_tool

    return python_tool()


BUILT_IN: Final[Mapping[str, Callable[[], Tool]]] = {"calculator": _calculator, "python": _python}
"""Tools a file may name without saying where they come from."""
