"""What is wrong in a scenario file is said with file, line, column and path, what was expected and what came."""

# ruff: noqa: E501  a table of cases, one a line
from __future__ import annotations

from pathlib import Path

import pytest

from symposia.cli.scenario import ScenarioFileError, read_setting
from symposia.core.errors import InvalidInput

GOOD = """symposia: 1
name: test
endpoints:
  script: {kind: scripted, replies: {alice: [hello], bob: [hi]}}
participants:
  alice: {model: "script:a"}
  bob:
    model: "script:b"
    sampling:
      temperature: 0.5
protocol: {type: round_robin, first: alice}
until: {type: turns, n: 2}
"""

# what is replaced, by what, then line and column, the path, and words of the message
CASES = {
    "unknown field": (
        "temperature: 0.5", "temprature: 0.5", (10, 7), "participants.bob.sampling.temprature", ["did you mean 'temperature'"],
    ),
    "unknown field at the top": ("name: test", "nmae: test", (2, 1), "nmae", ["unknown field", "did you mean 'name'"]),
    "duplicate name": ("  bob:\n", "  alice:\n", (7, 3), "participants.alice", ["already at line 6"]),
    "duplicate key": ("name: test", "name: test\nname: again", (3, 1), "name", ["already at line 2"]),
    "speaker that does not exist": (
        "first: alice", "speakers: [alice, bop]", (11, 49), "protocol.speakers[1]", ["unknown participant 'bop'", "'bob'"],
    ),
    "first that does not exist": ("first: alice", "first: carol", (11, 11), "protocol", ["'carol'", "alice, bob"]),
    "script of nobody": ("bob: [hi]", "bop: [hi]", (4, 54), "endpoints.script.replies.bop", ["'bob'"]),
    "wrong type": ("temperature: 0.5", "temperature: warm", (10, 20), "participants.bob.sampling.temperature", ["a number", "'warm'"]),
    "out of range": ("temperature: 0.5", "temperature: 12", (10, 20), "participants.bob.sampling.temperature", ["<= 10", "12"]),
    "missing field": ('    model: "script:b"\n', "", (8, 5), "participants.bob", ["'model'", "missing"]),
    "unknown model": ('"script:b"', "qwen9", (8, 12), "participants.bob.model", ["unknown model 'qwen9'", "nearest"]),
    "unknown endpoint": ('"script:b"', '"scrpt:b"', (8, 12), "participants.bob.model", ["'scrpt'"]),
    "unknown protocol": ("type: round_robin", "type: roundrobin", (11, 18), "protocol.type", ["did you mean 'round_robin'"]),
    "unknown condition": ("type: turns", "type: turn", (12, 15), "until.type", ["did you mean 'turns'"]),
    "no where text is meant": ("name: test", "name: no", (2, 7), "name", ["false", 'quote it: "no"']),
    "a time where text is meant": ("name: test", "name: 12:30", (2, 7), "name", ['quote it', '"12:30"']),
    "a date where text is meant": ("name: test", "date: 2025-01-01", (2, 7), "date", ['quote it: "2025-01-01"']),
    "an octal number": ("n: 2", "n: 010", (12, 25), "until.n", ["010"]),
    "a key that is not text": ("  bob:\n", "  no:\n", (7, 3), "participants", ['quote it: "no"']),
    "nothing where text is meant": ("name: test", "name:", (2, 6), "name", ["text", "nothing"]),
    "a name nobody can have": ("  bob:\n", "  system:\n", (7, 3), "participants.system", ["reserved"]),
    "an unknown tool": ("    sampling:", "    tools: [calculator, calulator]\n    sampling:", (9, 25), "participants.bob.tools[1]", ["unknown tool 'calulator'", "did you mean 'calculator'"]),
    "a tool twice": ("    sampling:", "    tools: [python, python]\n    sampling:", (9, 21), "participants.bob.tools[1]", ["twice"]),
    "servers that nobody allowed": ("name: test", "mcp: {notes: {command: python, only: [add]}}", (2, 1), "mcp", ["--allow-mcp"]),
    "a server without names of tools": ("name: test", "mcp: {notes: {command: python}}", (2, 14), "mcp.notes", ["'only'", "missing"]),
    "tools from code that nobody allowed": ("name: test", "code: {tools.py: [add]}", (2, 1), "code", ["--allow-code"]),
    "an anchor": ("name: test", "name: &a test", (2, 7), "", ["anchors"]),
    "a tag": ("name: test", "name: !!python/name:os.system x", (2, 7), "name", ["tag"]),
    "a missing file": ('    model: "script:b"\n', '    model: "script:b"\n    system_file: no.md\n', (9, 18), "participants.bob.system_file", ["no.md"]),
    "a file elsewhere": ('    model: "script:b"\n', '    model: "script:b"\n    system_file: ../x.md\n', (9, 18), "participants.bob.system_file", ["inside"]),
    "code that nobody allowed": ('"script:b"', '"scripted:talk.py:reply"', (8, 12), "participants.bob.model", ["--allow-code"]),
    "a vector that is none": (
        "    sampling:", "    interventions: [{op: add, vector: warm}]\n    sampling:", (9, 39), "participants.bob.interventions[0].vector", ["sha256", "'warm'"],
    ),
    "an unknown operation": (
        "    sampling:", "    interventions: [{op: ad, vector: warm}]\n    sampling:", (9, 26), "participants.bob.interventions[0].op", ["'add'"],
    ),
    "weights that do not fit": (
        "    sampling:",
        f"    interventions: [{{op: add, vector: \"sha256:{'0' * 64}\", layers: [1, 2], weights: [1]}}]\n    sampling:",
        (9, 21), "participants.bob.interventions[0]", ["one weight per layer"],
    ),
    "another version": ("symposia: 1", "symposia: 2", (1, 11), "symposia", ["1", "2"]),
    "not YAML": ("name: test", "name: [test", (3, 10), "", ["expected"]),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_every_mistake_is_pointed_at(case: str, tmp_path: Path) -> None:
    """The error stands at the line and column a reader would put a finger on, and says how to go on."""
    old, new, (line, column), path, words = CASES[case]
    assert GOOD.count(old) == 1
    file = tmp_path / "scenario.yaml"
    file.write_text(GOOD.replace(old, new))
    with pytest.raises(ScenarioFileError) as caught:
        read_setting(file)
    said = str(caught.value)
    assert said.startswith(f"{file}:{line}:{column}: {path}{':' if path else ''}"), said
    for word in words:
        assert word in said
    shown = said.splitlines()
    assert len(shown) == 3
    assert shown[1].startswith(f"{line:>5} | ")
    assert shown[2].index("^") == len("      | ") + column - 1


def test_the_good_file_is_good(tmp_path: Path) -> None:
    """What the cases spoil is right before."""
    file = tmp_path / "scenario.yaml"
    file.write_text(GOOD)
    assert read_setting(file).scenario.names == ("alice", "bob")


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        (
            "participants.bob.sampling.temprature=1",
            ["--set participants.bob.sampling.temprature", "did you mean 'temperature'"],
        ),
        ("participants.bob.model=qwen9", ["--set participants.bob.model", "unknown model"]),
        ("name", ["PATH=VALUE"]),
        ("name.first=x", ["plain value"]),
        ("protocol.first=no", ["--set protocol.first", "quote it"]),
    ],
)
def test_a_wrong_setting_is_named(setting: str, words: list[str], tmp_path: Path) -> None:
    """An error in `--set` points at the flag, not at the file."""
    file = tmp_path / "scenario.yaml"
    file.write_text(GOOD)
    with pytest.raises(InvalidInput) as caught:
        read_setting(file, [setting])
    for word in words:
        assert word in str(caught.value)
    assert str(file) not in str(caught.value)


def test_an_unreadable_file_is_no_traceback(tmp_path: Path) -> None:
    """A file that is not there, or not text, is bad input."""
    with pytest.raises(InvalidInput, match="expected a scenario file"):
        read_setting(tmp_path / "none.yaml")
    (tmp_path / "image.yaml").write_bytes(b"\x89PNG\r\n\xff\xfe")
    with pytest.raises(InvalidInput, match="expected a scenario file"):
        read_setting(tmp_path / "image.yaml")
    (tmp_path / "empty.yaml").write_text("")
    with pytest.raises(InvalidInput, match="mapping"):
        read_setting(tmp_path / "empty.yaml")
