"""A small MCP server, run as a process: `python notes.py`, or `python notes.py http`."""

from __future__ import annotations

import asyncio
import os
import socket
import sys

import uvicorn
from mcp.server.mcpserver import Image, MCPServer
from mcp.server.mcpserver.exceptions import ToolError

server = MCPServer("notes", log_level="ERROR")


@server.tool()
def add(a: int, b: int = 0) -> int:
    """The sum of two numbers."""
    return a + b


@server.tool()
def read_note(name: str) -> str:
    """A note, by name."""
    if name != "plan":
        raise ToolError(f"no note {name!r}")
    return "Meet at noon."


@server.tool()
def places() -> dict[str, list[int]]:
    """Where things are."""
    return {"here": [1, 2]}


@server.tool()
def picture() -> Image:
    """Twelve thousand bytes of picture."""
    return Image(data=b"x" * 12_000, format="png")


@server.tool()
def pid() -> int:
    """The server's process."""
    return os.getpid()


@server.tool()
def die() -> str:
    """Ends the server in the middle of a call."""
    os._exit(3)


@server.tool()
async def wait() -> str:
    """Never returns."""
    await asyncio.Event().wait()
    return ""


def over_http() -> None:
    """Serve streamable HTTP on a free port, which is printed once connections are accepted."""
    listening = socket.create_server(("127.0.0.1", 0))
    print(listening.getsockname()[1], flush=True)  # noqa: T201  how a test learns the port
    config = uvicorn.Config(server.streamable_http_app(), log_level="error")
    uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    over_http() if sys.argv[1:] == ["http"] else server.run("stdio")
