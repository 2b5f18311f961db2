"""Tools of a scenario file: built in, from code, from servers; each behind its flag, each error at its line."""

# ruff: noqa: E501  a table of cases, one a line
from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from symposia.cli.scenario import ScenarioFileError, read_setting
from tests.cli.process import ROOT, environment

TEXT = """symposia: 1
name: tools
endpoints:
  script:
    kind: scripted
    syntax: hermes
    features: [tools]
    replies:
      ann: ['{calls}', done]
participants:
  ann: {{model: "script:ann", tools: [{tools}]}}
{more}
shared_context: Compute.
protocol: {{type: round_robin, turns: 1}}
"""
CODE = '''
from symposia import tool

@tool(max_chars=50)
def double(n: int) -> int:
    """Twice as much."""
    return 2 * n

def plain(n: int) -> int:
    """As much."""
    return n

def bad(n):
    return n

KEPT = 3
'''


def written(folder: Path, *, tools: str, more: str = "", **arguments: Any) -> Path:
    """A scenario in which ann calls the first of her tools with these arguments."""
    call = json.dumps({"name": tools.partition(",")[0], "arguments": arguments})
    path = folder / "scenario.yaml"
    path.write_text(TEXT.format(calls=f"<tool_call>{call}</tool_call>", tools=tools, more=more))
    (folder / "tools.py").write_text(CODE)
    shutil.copy(ROOT / "tests" / "servers" / "notes.py", folder / "notes.py")
    return path


def results(done: Result) -> list[dict[str, Any]]:
    """What the tools of a run returned."""
    messages = json.loads(done.stdout)["messages"]
    return [part for message in messages for part in message["parts"] if part["type"] == "tool_result"]


def test_the_example_calls_in_every_syntax_and_reads_no_file(here: Callable[..., Result]) -> None:
    """Nine speakers, nine ways to write a call; /etc/passwd is an error result; every other answer is right."""
    done = here("run", ROOT / "examples" / "tools.yaml", "--format", "json")
    assert done.exit_code == 0, done.stderr
    found = {(r["name"], r["text"].splitlines()[0]): r["error"] for r in results(done)}
    assert found[("python", "PermissionError: Permission denied: '/etc/passwd' (line 1)")]
    assert "root:" not in done.stdout
    right = ["14", str(2**64), "285", "21", "3.1429", "13983816", "2432902008176640000"]
    assert all(any(text == value and not error for (_, text), error in found.items()) for value in right)
    assert found[("abacus", "unknown tool 'abacus'; expected one of calculator, python")]
    speakers = {m["author"] for m in json.loads(done.stdout)["messages"] if m["origin"] == "sampled"}
    assert len(speakers) == 9
    assert "ada called calculator: done" in done.stderr


def test_code_of_a_file_is_tools(here: Callable[..., Result], tmp_path: Path) -> None:
    """Plain and decorated functions of a named file, with --allow-code."""
    path = written(tmp_path, tools="double, plain", more="code: {tools.py: [double, plain]}", n=21)
    done = here("run", path, "--json", "--allow-code")
    assert done.exit_code == 0, done.stderr
    assert [(r["text"], r["error"]) for r in results(done)] == [("42", False)]
    assert here("run", path, "--json").exit_code == 2


def test_a_server_is_started_for_the_run(here: Callable[..., Result], tmp_path: Path) -> None:
    """In the file's folder, with --allow-mcp, under its prefix; and it is gone afterwards."""
    more = f"mcp: {{notes: {{command: {json.dumps(sys.executable)}, args: [notes.py], only: [pid, add]}}}}"
    path = written(tmp_path, tools="notes.pid", more=more)
    done = here("run", path, "--json", "--allow-mcp")
    assert done.exit_code == 0, done.stderr
    (result,) = results(done)
    with pytest.raises(ProcessLookupError):
        os.kill(int(result["text"]), 0)
    refused = here("run", path, "--json")
    assert refused.exit_code == 2
    assert "--allow-mcp" in refused.stderr


WRONG = {
    "a function that is not there": ("double", "code: {tools.py: [double, triple]}", "code.tools.py[1]", "no function 'triple'; it has"),
    "no function": ("double", "code: {tools.py: [double, KEPT]}", "code.tools.py[1]", "no function 'KEPT'"),
    "no annotation": ("bad", "code: {tools.py: [bad]}", "code.tools.py[0]", "has no annotation"),
    "no file": ("double", "code: {none.py: [double]}", "code.none.py", "there is no file"),
    "two of one name": ("double", "code: {tools.py: [calculator]}", "code", "two tools are called 'calculator'"),
    "a server with neither": ("notes.add", "mcp: {notes: {only: [add]}}", "mcp.notes", "a command to start, or the url"),
    "a server that is none": ("notes.add", 'mcp: {notes: {command: "true", only: [add]}}', "mcp.notes", "could not be reached"),
    "a variable that is not set": (
        "notes.add", 'mcp: {notes: {command: "true", env: {TOKEN: "env:NOBODY_SET_THIS"}, only: [add]}}', "mcp.notes", "no NOBODY_SET_THIS",
    ),
    "a tool the server lacks": (
        "notes.none", f"mcp: {{notes: {{command: {json.dumps(sys.executable)}, args: [notes.py], only: [none]}}}}", "mcp.notes", "expected one of add",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_with_a_tool_is_pointed_at(case: str, tmp_path: Path) -> None:
    """Names, files, functions and servers: each error stands at its place in the file, before anything is said."""
    tools, more, place, told = WRONG[case]
    path = written(tmp_path, tools=tools, more=more)
    with pytest.raises(ScenarioFileError) as caught, ExitStack() as stack:
        read_setting(path, allow_code=True, allow_mcp=True).equipped(stack, {})
    assert f" {place}: " in str(caught.value)
    assert told in str(caught.value)
    assert caught.value.mark is not None


def test_a_run_with_tools_goes_on_where_it_stopped(here: Callable[..., Result], tmp_path: Path) -> None:
    """Saved with its specifications; --resume runs the same tools and ends as the uncut run does."""
    path = written(tmp_path, tools="calculator", expression="6*7")
    path.write_text(path.read_text().replace("turns: 1", "turns: 3").replace("done]", "done], x: []"))
    text = (
        path.read_text().replace("kind: scripted", "kind: scripted\n    cycle: true").replace(", x: []", "")
    )
    path.write_text(text)
    assert here("run", path, "--out", tmp_path / "whole").exit_code == 0
    assert here("run", path, "--out", tmp_path / "cut", "--turns", 1).exit_code == 0
    done = here("run", path, "--out", tmp_path / "cut", "--resume")
    assert done.exit_code == 0, done.stderr
    whole, cut = (json.loads((tmp_path / n / "conversation.json").read_bytes()) for n in ("whole", "cut"))
    assert cut["transcript"] == whole["transcript"]
    assert len([m for m in whole["transcript"] if m["author"] == "tool"]) == 3
    events = (tmp_path / "whole" / "events.jsonl").read_text()
    assert events.count('"ToolCalled"') == events.count('"ToolReturned"') == 3


def test_a_model_without_tools_is_refused(here: Callable[..., Result], tmp_path: Path) -> None:
    """UnsupportedRequest before anything is generated: exit 2."""
    path = written(tmp_path, tools="calculator", expression="1")
    path.write_text(path.read_text().replace("features: [tools]", "features: []"))
    done = here("run", path, "--json")
    assert done.exit_code == 2
    assert "cannot honour 'tools'" in done.stderr


def test_a_missing_extra_is_said_at_the_line(tmp_path: Path) -> None:
    """Asked for but not installed: exit 2 with the line to install, before anything is said."""
    path = written(tmp_path, tools="python", code="1")
    code = (
        "import sys; sys.modules['pydantic_monty'] = None\n"
        "from symposia.cli.main import main\n"
        f"sys.argv = ['symposia', 'run', {str(path)!r}]\n"
        "main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment(), check=False
    )
    assert done.returncode == 2
    assert "pip install 'symposia[tools]'" in done.stderr
    assert "participants.ann.tools[0]" in done.stderr


def test_a_dry_run_tells_the_tools(here: Callable[..., Result], tmp_path: Path) -> None:
    """Names as the model will read them, and a profile digest that holds the specifications."""
    path = written(tmp_path, tools="double, calculator", more="code: {tools.py: [double]}", n=1)
    done = here("run", path, "--dry-run", "--json", "--allow-code")
    (ann,) = json.loads(done.stdout)["participants"]
    assert ann["tools"] == ["double", "calculator"]
