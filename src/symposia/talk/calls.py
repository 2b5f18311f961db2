"""Running the calls of a reply: side by side, results in call order, every error a result the model can read."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from symposia.core.clock import Clock
from symposia.core.errors import SymposiaError
from symposia.core.events import Emit, ToolCalled, ToolReturned
from symposia.core.message import ToolCall, ToolResult
from symposia.core.request import About
from symposia.core.toolspec import ToolSpec

from .boundary import attempted
from .tools import MAX_CHARS, Returned, Run, Tool, ToolBox


class Calls:
    """The tools of one turn. Each is opened at its first call and closed with the turn, on every exit."""

    def __init__(self, box: ToolBox, clock: Clock, emit: Emit) -> None:
        self._box, self._clock, self._emit = box, clock, emit
        self._open: dict[str, Run | Exception | SystemExit] = {}
        self._stack: AsyncExitStack | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._stack is not None:
            await attempted(self._stack.aclose)  # a tool that cannot be closed has answered all the same

    async def answer(
        self, about: About, calls: Sequence[ToolCall], offered: Sequence[ToolSpec]
    ) -> tuple[ToolResult, ...]:
        """A result for each call, in the calls' order. Cancelling cancels every call that is running."""
        names = [spec.name for spec in offered]
        for call in calls:
            if call.name in names and not call.error:
                await self._prepare(self._box[call.name])
        if len(calls) == 1:
            return (await self._result(about, calls[0], names),)
        async with asyncio.TaskGroup() as group:
            running = [group.create_task(self._result(about, call, names)) for call in calls]
        return tuple(task.result() for task in running)

    async def _prepare(self, tool: Tool) -> None:
        stack = self._stack = self._stack or AsyncExitStack()
        if tool.name not in self._open:
            self._open[tool.name] = await attempted(lambda: stack.enter_async_context(tool.open()))

    async def _result(self, about: About, call: ToolCall, names: Sequence[str]) -> ToolResult:
        self._emit(ToolCalled(about=about, name=call.name, id=call.id, arguments=call.arguments))
        began = self._clock.monotonic()
        returned = await self._returned(call, names)
        most = self._box[call.name].max_chars if call.name in names else MAX_CHARS
        text, cut = limited(returned.text, most)
        seconds = self._clock.monotonic() - began
        self._emit(
            ToolReturned(
                about=about, name=call.name, id=call.id, seconds=seconds, error=returned.error, text=text
            )
        )
        return ToolResult(id=call.id, name=call.name, text=text, error=returned.error, truncated=cut)

    async def _returned(self, call: ToolCall, names: Sequence[str]) -> Returned:
        if call.error:
            return Returned(call.error, error=True)
        if call.name not in names:
            return Returned(f"unknown tool {call.name!r}; expected one of {', '.join(names)}", error=True)
        tool, run = self._box[call.name], self._open[call.name]
        if isinstance(run, Exception | SystemExit):
            return failed(call.name, run)
        answer = run
        async with asyncio.TaskGroup() as group:
            task = group.create_task(attempted(lambda: answer(call.arguments)))
            timer = group.create_task(_end(self._clock, tool.timeout_s, task))
            await asyncio.wait((task,))
            timer.cancel()
        if task.cancelled():
            late = timer.done() and not timer.cancelled()
            why = f"no result within {tool.timeout_s:g} s; it was stopped" if late else "it stopped itself"
            return Returned(f"{call.name}: {why}", error=True)
        result = task.result()
        return result if isinstance(result, Returned) else failed(call.name, result)


def failed(name: str, error: BaseException) -> Returned:
    """What the model reads of an exception: its kind and message, no traceback."""
    told = str(error) if isinstance(error, SymposiaError) else f"{type(error).__name__}: {error}"
    return Returned(f"{name} failed: {told}".rstrip(": "), error=True)


def limited(text: str, most: int) -> tuple[str, bool]:
    """The text cut after `most` characters, saying how many are missing; and whether it was. Always encodable."""
    text = text.encode("utf-8", "replace").decode()
    beyond = len(text) - most
    return (f"{text[:most]}\n[cut: {beyond} characters]", True) if beyond > 0 else (text, False)


async def _end(clock: Clock, seconds: float | None, task: asyncio.Task[object]) -> None:
    """Cancel the task when its time is up."""
    if seconds is not None:
        await clock.sleep(seconds)
        task.cancel()
