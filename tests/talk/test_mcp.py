"""Tools of a real MCP server: a process over stdio, and one over streamable HTTP."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from mcp import StdioServerParameters
from mcp.types import (
    AudioContent,
    CallToolResult,
    EmbeddedResource,
    ResourceLink,
    TextContent,
    TextResourceContents,
)

from symposia.core.clock import VirtualClock
from symposia.core.errors import InvalidInput, UnknownName
from symposia.core.events import ToolCalled
from symposia.core.message import ToolResult
from symposia.talk.conversation import Conversation
from symposia.talk.converse import converse
from symposia.talk.mcp import McpTools, text_of
from symposia.talk.protocols import Once
from symposia.talk.rules import Kit
from symposia.talk.tools import Returned, ToolBox
from tests.company import opened, party
from tests.talk.test_tool_loop import call, calling, script

SERVER = Path(__file__).parents[1] / "servers" / "notes.py"
STDIO = StdioServerParameters(command=sys.executable, args=[str(SERVER)])


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The same server over streamable HTTP, on a port of its own."""
    with subprocess.Popen(
        [sys.executable, str(SERVER), "http"], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}/mcp"
        process.terminate()


async def ask(tools: McpTools, name: str, /, **arguments: object) -> Returned:
    async with ToolBox(*tools.tools)[name].open() as answer:
        return await answer(arguments)


@pytest.mark.parametrize("over", ["stdio", "http"])
async def test_a_servers_tools_are_tools(over: str, request: pytest.FixtureRequest) -> None:
    """Named tools only, under a prefix, with the server's schema; texts, structures, pictures and errors as text."""
    server = STDIO if over == "stdio" else request.getfixturevalue("url")
    async with McpTools(server, only=("add", "read_note", "places", "picture"), prefix="notes") as notes:
        assert [t.name for t in notes.tools] == [
            "notes.add",
            "notes.read_note",
            "notes.places",
            "notes.picture",
        ]
        assert notes.tools[0].spec.parameters["properties"]["b"]["default"] == 0
        assert notes.tools[0].timeout_s == 60
        assert await ask(notes, "notes.add", a=2, b=3) == Returned("5")
        assert await ask(notes, "notes.read_note", name="plan") == Returned("Meet at noon.")
        missing = await ask(notes, "notes.read_note", name="other")
        assert missing.error
        assert "no note 'other'" in missing.text
        wrong = await ask(notes, "notes.add", a="two")
        assert wrong.error
        assert (await ask(notes, "notes.places")).text.split() == '{ "here": [ 1, 2 ] }'.split()
        assert await ask(notes, "notes.picture") == Returned("[image, 12 kB]")


async def test_a_server_that_dies_in_a_call_is_an_error_result() -> None:
    """The call ends with an error, later ones too, and the block closes all the same."""
    async with McpTools(STDIO, only=("die", "add")) as notes:
        died = await ask(notes, "die")
        after = await ask(notes, "add", a=1)
    assert died.error
    assert "Connection closed" in died.text
    assert after.error


async def test_leaving_the_block_ends_the_process() -> None:
    """The server's process is gone when the block is left; afterwards its tools say so."""
    async with McpTools(STDIO, only=("pid",)) as notes:
        process = int((await ask(notes, "pid")).text)
        kept = notes.tools[0]
        os.kill(process, 0)
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)
    async with kept.open() as answer:
        gone = await answer({})
    assert gone.error
    assert "is gone" in gone.text


async def test_a_call_that_takes_too_long_is_given_up() -> None:
    """After the timeout, on the conversation's clock, the call is an error result; the server answers the next one."""
    clock, called = VirtualClock(), asyncio.Event()
    async with McpTools(STDIO, only=("wait", "add"), timeout_s=60) as notes:
        box = ToolBox(*notes.tools)
        backend = script(calling(call("wait")), calling(call("add", a=1)), "done")
        talked = converse(
            Once(speaker="ann"),
            party("ann", tools=box.specs),
            backend,
            transcript=opened(),
            emit=lambda event: called.set() if isinstance(event, ToolCalled) else None,
            kit=Kit(tools=box, clock=clock),
        )
        task = asyncio.ensure_future(talked)
        await called.wait()
        await clock.advance(60)
        outcome = await task
    results = [p for m in outcome.transcript for p in m.parts if isinstance(p, ToolResult)]
    assert [(r.error, r.text) for r in results] == [
        (True, "wait: no result within 60 s; it was stopped"),
        (False, "1"),
    ]


def test_a_synchronous_conversation_uses_them() -> None:
    """A plain `with`, and `run`: no event loop of one's own."""
    with McpTools(STDIO, only=("add",), prefix="notes") as notes:
        backend = script(calling(call("notes.add", a=40, b=2)), "42")
        conversation = Conversation(party("ann"), backend=backend, tools=notes.tools, transcript=opened())
        conversation.run(turns=1)
    assert conversation.transcript[2].parts[0].text == "42"


async def test_synchronous_calls_inside_a_running_loop_do_not_wait_for_it() -> None:
    """`run` blocks this loop while the tools answer: the connection lives elsewhere."""
    async with McpTools(STDIO, only=("add",)) as notes:
        backend = script(calling(call("add", a=1)), "1")
        conversation = Conversation(party("ann"), backend=backend, tools=notes.tools, transcript=opened())
        assert conversation.run(turns=1)[-1].text == "1"


@pytest.mark.parametrize(
    ("server", "only", "error", "told"),
    [
        (STDIO, ("nope",), UnknownName, "expected one of add, die"),
        (STDIO, (), InvalidInput, "only names the tools"),
        (STDIO, "add", InvalidInput, "only names the tools"),
        (StdioServerParameters(command="/no/such/command"), ("add",), InvalidInput, "could not be reached"),
        (StdioServerParameters(command="true"), ("add",), InvalidInput, "Connection closed"),
        ("http://127.0.0.1:9/mcp", ("add",), InvalidInput, "could not be reached"),
    ],
)
async def test_what_cannot_be_offered_is_refused(server, only, error, told: str) -> None:
    """A tool the server lacks, no names, no server: an error before the block is entered."""
    with pytest.raises(error, match=told):
        async with McpTools(server, only=only):
            raise AssertionError("the block was entered")


def test_every_kind_of_content_is_told() -> None:
    """Sound by its size, links and resources by what they are; structure once, not beside a text that says it."""
    blocks = [
        TextContent(text="So:"),
        AudioContent(data="A" * 4000, mime_type="audio/wav"),
        ResourceLink(name="x", uri="file:///x"),
        EmbeddedResource(resource=TextResourceContents(uri="file:///y", text="held")),
    ]
    told = text_of(CallToolResult(content=blocks, structured_content={"a": 1}))
    assert told == 'So:\n[audio, 3 kB]\n[link, file:///x]\nheld\n{"a": 1}'
    for said, structured in (("5", {"result": 5}), ('{"a": 1}', {"a": 1}), ("five", {"result": "five"})):
        once = CallToolResult(content=[TextContent(text=said)], structured_content=structured)
        assert text_of(once) == said
    several = CallToolResult(
        content=[TextContent(text="1"), TextContent(text="2")], structured_content={"result": [1, 2]}
    )
    assert text_of(several) == "1\n2"


def test_a_missing_extra_is_an_error_at_the_start() -> None:
    """Without mcp no server is started, and the line to install it is told."""
    code = (
        "import sys; sys.modules['mcp'] = None\n"
        "from symposia.talk.mcp import McpTools\n"
        "McpTools('http://127.0.0.1:9/mcp', only=('x',))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "pip install 'symposia[mcp]'" in done.stderr
