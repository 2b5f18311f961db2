"""Tools of a Model Context Protocol server: a process or a URL, opened and closed with a `with` block.

Only the tools that are named are offered. The connection lives on the process's own loop thread, so that synchronous
conversations and asynchronous ones, on any loop, call it alike. A server that dies is an error result.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib.util import find_spec
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from symposia.core.errors import InvalidInput, UnknownName
from symposia.core.toolspec import ToolSpec
from symposia.core.value import checked

from . import portal
from .boundary import attempted
from .tools import MAX_CHARS, Returned, Run, Tool

if TYPE_CHECKING:
    from mcp import Client, StdioServerParameters
    from mcp.types import CallToolResult, ContentBlock
    from mcp.types import Tool as ServerTool

INSTALL: Final = "pip install 'symposia[mcp]'"
START_S: Final = 60.0
CALL_S: Final = 60.0


class McpTools:
    """A server's tools while the block is open: `async with McpTools(server, only=("read_file",)) as files`.

    `server` is `StdioServerParameters` (a command to start) or the URL of a streamable HTTP server. `only` names what
    is offered; `prefix="files"` makes `files.read_file` of it. A call gets `timeout_s` seconds. Also a plain `with`.
    `InvalidInput` where the server cannot be reached, and `UnknownName` for a tool it does not have.
    """

    def __init__(
        self,
        server: StdioServerParameters | str,
        *,
        only: Sequence[str],
        prefix: str = "",
        timeout_s: float = CALL_S,
        max_chars: int = MAX_CHARS,
    ) -> None:
        if find_spec("mcp") is None:
            raise InvalidInput(f"MCP servers need the package mcp, which is not installed: {INSTALL}")
        if isinstance(only, str) or not only:
            raise InvalidInput(
                f"McpTools: only names the tools to offer, such as only=('read_file',); got {only!r}"
            )
        self._server, self._only, self._prefix = server, tuple(only), prefix
        self._timeout_s, self._max_chars = timeout_s, max_chars
        self._client: Client | None = None
        self._task: asyncio.Task[None] | None = None
        self._closing: asyncio.Event | None = None
        self.tools: tuple[Tool, ...] = ()

    async def __aenter__(self) -> Self:
        await asyncio.wrap_future(portal.submit(self._start()))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.wrap_future(portal.submit(self._stop()))

    def __enter__(self) -> Self:
        portal.call(self._start())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        portal.call(self._stop())

    async def _start(self) -> None:
        """On the portal's loop: connect, in a task of its own that keeps the connection until it is told to close."""
        if self._task is not None:
            raise InvalidInput("McpTools: this block is already open; make another for a second connection")
        ready: asyncio.Future[list[ServerTool]] = asyncio.get_running_loop().create_future()
        self._closing = asyncio.Event()
        self._task = asyncio.ensure_future(self._serve(ready, self._closing))
        try:
            async with asyncio.timeout(START_S):
                await asyncio.wait((self._task, ready), return_when=asyncio.FIRST_COMPLETED)
            if not ready.done():
                await self._task  # raises what it ended with
            self.tools = tuple(self._tool(each) for each in self._chosen(ready.result()))
        except BaseException as error:
            ready.cancel()
            await self._stop()
            if isinstance(error, TimeoutError):
                raise InvalidInput(
                    f"the MCP server {self._named} said nothing within {START_S:g} s"
                ) from error
            raise

    async def _stop(self) -> None:
        task, self._task, self._client = self._task, None, None
        if task is None or self._closing is None:
            return
        self._closing.set()
        if self.tools:
            await attempted(lambda: task)  # a server that died has nothing to close
        else:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        self.tools = ()

    async def _serve(self, ready: asyncio.Future[list[ServerTool]], closing: asyncio.Event) -> None:
        from mcp import Client, stdio_client

        server = self._server
        # What a server says on stderr goes to the process's own: notebooks put something else in sys.stderr.
        asked = (
            server if isinstance(server, str) else stdio_client(server, errlog=sys.__stderr__ or sys.stderr)
        )

        async def serve() -> None:
            async with Client(asked, cache=None) as client:
                listed = await _all_tools(client)
                self._client = client
                ready.set_result(listed)
                await closing.wait()

        ended = await attempted(serve)
        self._client = None
        if ended is not None and not ready.done():
            raise InvalidInput(f"the MCP server {self._named} could not be reached: {_innermost(ended)}")

    @property
    def _named(self) -> str:
        server = self._server
        return server if isinstance(server, str) else " ".join((server.command, *server.args))

    def _chosen(self, listed: Sequence[ServerTool]) -> list[ServerTool]:
        have = {each.name: each for each in listed}
        for name in self._only:
            if name not in have:
                raise UnknownName(f"tool of the MCP server {self._named}", name, have)
        return [have[name] for name in self._only]

    def _tool(self, theirs: ServerTool) -> Tool:
        spec = ToolSpec(
            name=f"{self._prefix}.{theirs.name}" if self._prefix else theirs.name,
            description=theirs.description or "",
            parameters=theirs.input_schema,
        )
        return Tool(
            spec=checked(spec),
            open=self._opened(theirs.name),
            timeout_s=self._timeout_s,
            max_chars=self._max_chars,
        )

    def _opened(self, name: str) -> Callable[[], AbstractAsyncContextManager[Run]]:
        @asynccontextmanager
        async def opened() -> AsyncIterator[Run]:
            async def run(given: dict[str, Any]) -> Returned:
                return await asyncio.wrap_future(portal.submit(self._call(name, given)))

            yield run

        return opened

    async def _call(self, name: str, arguments: dict[str, Any]) -> Returned:
        if self._client is None:
            return Returned(f"the MCP server {self._named} is gone", error=True)
        result = await attempted(lambda: self._connected().call_tool(name, arguments))
        if isinstance(result, Exception | SystemExit):
            return Returned(f"{name} failed: {_innermost(result)}", error=True)
        return Returned(text_of(result), error=result.is_error)

    def _connected(self) -> Client:
        if self._client is None:
            raise InvalidInput(f"the MCP server {self._named} is gone")
        return self._client


async def _all_tools(client: Client) -> list[ServerTool]:
    found: list[ServerTool] = []
    cursor: str | None = None
    while True:
        page = await client.list_tools(cursor=cursor)
        found += page.tools
        cursor = page.next_cursor
        if cursor is None:
            return found


def text_of(result: CallToolResult) -> str:
    """A result as text: texts as they are, structured content as JSON unless a text says it already."""
    shown = [_shown(block) for block in result.content]
    structured = result.structured_content
    if structured is not None and not _said(structured, [b.text for b in result.content if b.type == "text"]):
        shown.append(json.dumps(structured, ensure_ascii=False))
    return "\n".join(shown)


def _said(structured: Any, texts: Sequence[str]) -> bool:
    """Whether the texts hold the structured content; servers wrap a value that is no object as {"result": value}."""
    values = [_json(text) for text in texts]
    one = values[0] if len(values) == 1 else values
    plain: Any = texts[0] if len(texts) == 1 else list(texts)
    return bool(texts) and any(structured in (value, {"result": value}) for value in (one, values, plain))


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _shown(block: ContentBlock) -> str:
    from mcp.types import TextResourceContents

    if block.type == "text":
        return block.text
    if block.type == "resource":
        held = block.resource
        return held.text if isinstance(held, TextResourceContents) else f"[resource, {held.uri}]"
    if block.type == "resource_link":
        return f"[link, {block.uri}]"
    return f"[{block.type}, {_kilobytes(block.data)} kB]"


def _kilobytes(base64: str) -> int:
    """Size of what is encoded, rounded up."""
    return -(-len(base64) * 3 // 4 // 1000) or 1


def _innermost(error: BaseException) -> str:
    """What a tree of errors is about: its first leaf."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}".rstrip(": ")
