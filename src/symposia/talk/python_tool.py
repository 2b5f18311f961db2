"""Python a model may run: Monty, an interpreter without a host. One a turn, in a process of its own.

No files, no environment, no network, no modules but its own. Its clock stands still and its `random` is seeded, so that
the same code gives the same result.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from importlib.util import find_spec
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Any, Final, Self

from msgspec import Meta

from symposia.core.errors import InvalidInput
from symposia.core.toolspec import ToolSpec
from symposia.core.value import checked

from .signature import arguments_type, parameters_of
from .tools import Returned, Run, Tool, read_arguments

if TYPE_CHECKING:
    from pydantic_monty import AsyncMontySession, MontyError, OSPolicy, ResourceLimits

INSTALL: Final = "pip install 'symposia[tools]'"
PRINTED: Final = 4 * 2**20  # bytes; more is an error inside the sandbox
OUT_OF_TIME: Final = "time limit exceeded"
OUT_OF_MEMORY: Final = "memory limit exceeded"
_GRACE_S: Final = 2.0


def python_tool(
    name: str = "python", *, seconds: float = 5.0, memory_bytes: int = 64 * 2**20, max_chars: int = 10_000
) -> Tool:
    """A sandboxed Python. What is printed comes back, then the value of the last expression.

    Variables live until the turn ends. `InvalidInput` with the line to install where pydantic-monty is missing.
    """
    if find_spec("pydantic_monty") is None:
        raise InvalidInput(f"the tool {name!r} needs pydantic-monty, which is not installed: {INSTALL}")
    if seconds <= 0 or memory_bytes < 2**20:
        raise InvalidInput(
            f"the tool {name!r}: expected seconds above 0 and memory from 1 MiB up; "
            f"got {seconds} s and {memory_bytes} bytes"
        )
    arguments = arguments_type(_signature, name)
    spec = checked(
        ToolSpec(
            name=name,
            description=(
                "Runs Python code and returns what it prints, then the value of its last expression. Builtins, math "
                "and a few other pure modules; no files, no network, no packages. Variables are kept between calls of "
                f"one answer. At most {seconds:g} seconds and {memory_bytes // 2**20} MiB."
            ),
            parameters=parameters_of(arguments, name),
        )
    )

    @asynccontextmanager
    async def opened() -> AsyncIterator[Run]:
        async with Interpreter(seconds, memory_bytes) as interpreter:

            async def run(given: dict[str, Any]) -> Returned:
                read = read_arguments(given, arguments, spec)
                return read if isinstance(read, Returned) else await interpreter.run(read["code"])

            yield run

    return Tool(spec=spec, open=opened, timeout_s=None, max_chars=max_chars)


class Interpreter:
    """One worker process, started at the first snippet. Snippets run one after the other and share variables."""

    def __init__(self, seconds: float, memory_bytes: int) -> None:
        self._seconds = seconds
        self._limits: ResourceLimits = {"max_feed_duration_secs": seconds, "max_memory": memory_bytes}
        self._turn = asyncio.Lock()
        self._stack = AsyncExitStack()
        self._session: AsyncMontySession | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stop()

    async def run(self, code: str) -> Returned:
        """What the code printed and its last value; an error says what went wrong, then what was printed before."""
        from pydantic_monty import CollectString, MontyCrashedError, MontyError

        async with self._turn:
            session = self._session or await self._start()
            printed = CollectString(max_bytes=PRINTED)
            try:
                value = await session.feed_run(code, print_callback=printed)
            except MontyError as error:
                told = self._told(error)
                if isinstance(error, MontyCrashedError) or OUT_OF_TIME in str(error):
                    await self._stop()
                    told += "; the interpreter was started anew, its variables are gone"
                if OUT_OF_MEMORY in str(error):  # how much came before is a matter of time
                    return Returned(told, error=True)
                return Returned(
                    _joined(told, printed.output and f"printed before:\n{printed.output}"), error=True
                )
            except asyncio.CancelledError:
                await self._stop()
                raise
        return Returned(_joined(printed.output, "" if value is None else repr(value)))

    def _told(self, error: MontyError) -> str:
        """The kind of error, its message, and the line it came from: no traceback, nothing that varies."""
        from pydantic_monty import MontyRuntimeError, MontySyntaxError

        if OUT_OF_TIME in str(error):
            return f"TimeoutError: it ran for more than {self._seconds:g} s"
        if f"> {PRINTED} bytes" in str(error):
            return f"MemoryError: it printed more than {PRINTED // 2**20} MiB"
        if OUT_OF_MEMORY in str(error):
            return f"MemoryError: it took more than {(self._limits['max_memory'] or 0) // 2**20} MiB"
        if not isinstance(error, MontyRuntimeError | MontySyntaxError):
            return "the interpreter died"
        frames = error.traceback()
        where = f" (line {frames[-1].line})" if frames else ""
        return f"{error.display('type-msg')}{where}"

    async def _start(self) -> AsyncMontySession:
        from pydantic_monty import AsyncMonty

        policy: OSPolicy = {
            "datetime": datetime(2025, 1, 1, tzinfo=UTC),
            "sleep": "zero",
            "random_start": {"seed": 0},
        }
        pool = AsyncMonty(min_processes=1, max_processes=1, request_timeout=self._seconds + _GRACE_S)
        workers = await self._stack.enter_async_context(pool)
        checked_out = workers.checkout(limits=self._limits, os_policy=policy)
        self._session = await self._stack.enter_async_context(checked_out)
        return self._session

    async def _stop(self) -> None:
        self._session = None
        await self._stack.aclose()


def _signature(code: Annotated[str, Meta(description="The Python code to run")]) -> str:
    """The parameters of the tool; it is never called."""
    raise NotImplementedError


def _joined(printed: str, last: str) -> str:
    if printed and last and not printed.endswith("\n"):
        printed += "\n"
    return (printed + last).rstrip("\n")
