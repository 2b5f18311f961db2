"""Sandboxed Python: one interpreter a turn, nothing of the host, errors as data."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from symposia.core.errors import InvalidInput
from symposia.talk.python_tool import Interpreter, python_tool
from symposia.talk.rules import Kit
from symposia.talk.tools import Returned, Tool, ToolBox
from tests.company import party
from tests.talk.test_tool_loop import call, calling, run, script


def answers(made: Tool, *snippets: str) -> list[Returned]:
    """Snippets of one turn, one after the other."""

    async def one_turn() -> list[Returned]:
        async with made.open() as answer:
            return [await answer({"code": code}) for code in snippets]

    return asyncio.run(one_turn())


def test_prints_come_back_then_the_last_value() -> None:
    """Variables live until the turn ends; the next turn has none of them."""
    first = answers(python_tool(), "x = 20\nprint('x is', x)\nx + 1", "x", "None", "print(1)")
    assert [r.text for r in first] == ["x is 20\n21", "20", "", "1"]
    (again,) = answers(python_tool(), "x")
    assert again.error
    assert again.text == "NameError: name 'x' is not defined (line 1)"


OUTSIDE = {
    "a file": "open('/etc/passwd').read()",
    "a path": "from pathlib import Path\nPath('/etc/passwd').read_text()",
    "a folder": "import os\nos.listdir('/')",
    "a new file": "open('here.txt', 'w').write('x')",
    "the environment": "import os\nos.environ['HOME']",
    "a process": "import subprocess\nsubprocess.run(['ls'])",
    "the network": "import socket\nsocket.socket()",
    "a package": "import msgspec",
    "an import by name": "__import__('os').system('ls')",
}


@pytest.mark.parametrize("what", OUTSIDE)
def test_the_host_is_out_of_reach(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No files, environment, processes, network or packages: each is an error result, and nothing happened."""
    monkeypatch.chdir(tmp_path)
    (result,) = answers(python_tool(), OUTSIDE[what])
    assert result.error
    assert "root:" not in result.text
    assert list(tmp_path.iterdir()) == []


def test_errors_say_what_and_where_without_a_traceback() -> None:
    """Kind, message and line; what was printed before it comes after."""
    wrong, broken = answers(python_tool(), "print('so far')\n1/0", "def f(:")
    assert (wrong.text, wrong.error) == (
        "ZeroDivisionError: division by zero (line 2)\nprinted before:\nso far",
        True,
    )
    assert broken.text.startswith("SyntaxError: ")
    assert "Traceback" not in wrong.text + broken.text


def test_time_and_memory_are_bounded_and_the_turn_goes_on() -> None:
    """An endless loop and a huge value are errors; after the loop the interpreter is a new one, and says so."""
    loop, after, huge, printed = answers(
        python_tool(seconds=0.5),
        "n = 1\nwhile True: pass",
        "n",
        "'a' * 10**9",
        "while True: print('x' * 10**6)",
    )
    assert loop.text == (
        "TimeoutError: it ran for more than 0.5 s; the interpreter was started anew, its variables are gone"
    )
    assert "NameError" in after.text
    assert huge.text == "MemoryError: it took more than 64 MiB"
    assert printed.text == "MemoryError: it printed more than 4 MiB"


def test_the_same_code_gives_the_same() -> None:
    """Its random numbers are seeded, its clock stands still, and it does not sleep."""
    code = "import random, datetime, time\ntime.sleep(10**6)\n(random.random(), datetime.datetime.now())"
    first, second = answers(python_tool(), code), answers(python_tool(), code)
    assert first == second
    assert not first[0].error


def test_calls_of_one_reply_share_the_interpreter_in_order() -> None:
    """Several snippets in one reply run one after the other; a long output is cut."""
    box = ToolBox(python_tool("run_python", seconds=3, max_chars=40))
    codes = ("x = 1", "x += 1", "x", "'y' * 60")
    backend = script(calling(*(call("run_python", i, code=c) for i, c in enumerate(codes))), "done")
    outcome = run(backend, party("ann", tools=box.specs), kit=Kit(tools=box))
    results = outcome.transcript[2].parts
    assert [r.text for r in results[:3]] == ["", "", "2"]
    assert results[3].truncated
    assert results[3].text.endswith("[cut: 22 characters]")


async def test_cancelling_ends_the_worker() -> None:
    """A cancelled turn leaves no interpreter behind: the block ends at once, with its process."""
    made = python_tool(seconds=60)
    begun = asyncio.Event()

    async def turn() -> None:
        async with made.open() as answer:
            await answer({"code": "1"})
            begun.set()
            await answer({"code": "while True: pass"})

    task = asyncio.ensure_future(turn())
    await begun.wait()
    await asyncio.sleep(0)
    task.cancel()
    async with asyncio.timeout(20):
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_a_crash_is_an_error_result() -> None:
    """A worker that dies in the middle of a snippet is told as such; the next snippet has a new one."""
    async with Interpreter(60.0, 64 * 2**20) as interpreter:
        await interpreter.run("x = 1")
        assert interpreter._session is not None
        worker = interpreter._session.worker_pid
        task = asyncio.ensure_future(interpreter.run("while True: pass"))
        await asyncio.sleep(0)
        os.kill(worker, signal.SIGKILL)
        crashed = await task
        after = await interpreter.run("2 + 2")
    assert crashed == Returned(
        "the interpreter died; the interpreter was started anew, its variables are gone", error=True
    )
    assert after == Returned("4")


def test_a_missing_extra_is_an_error_at_the_start() -> None:
    """Without pydantic-monty the tool cannot be made, and the line to install it is told."""
    code = (
        "import sys; sys.modules['pydantic_monty'] = None\n"
        "from symposia.talk.python_tool import python_tool\n"
        "python_tool()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "InvalidInput" in done.stderr
    assert "pip install 'symposia[tools]'" in done.stderr


def test_limits_must_make_sense() -> None:
    """No time or next to no memory is refused when the tool is made."""
    with pytest.raises(InvalidInput, match="seconds above 0"):
        python_tool(seconds=0)
