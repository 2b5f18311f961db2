"""A small MCP server, run as a process: `python notes.py`, or `python notes.py PORT` for streamable HTTP."""

from __future__ import annotations

import asyncio
import os
import sys

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


if __name__ == "__main__":
    if len(sys.argv) > 1:
        server.run("streamable-http", host="127.0.0.1", port=int(sys.argv[1]))
    else:
        server.run("stdio")
