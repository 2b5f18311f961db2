"""Every example does what it says at its top."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from tests.cli.process import ROOT, Process

CODES = {
    "two_scripted": 0,
    "tiny_debate": 0,
    "rounds": 0,
    "moderated": 0,
    "moderated_bad": 1,
    "steered_remote": 2,
    "one_call": 2,  # no key here; tests/cli/test_hosted.py gives it a server
    "dishes": 0,
    "captured": 0,
    "tools": 0,
}
MORE = {"dishes": ["--row", "2"]}


def test_every_example_is_here() -> None:
    """A new example gets a line in this test and in the README."""
    names = {path.stem for path in (ROOT / "examples").glob("*.yaml")}
    assert names == set(CODES)
    told = (ROOT / "examples" / "README.md").read_text()
    for name in names:
        assert f"`{name}.yaml`" in told


@pytest.mark.parametrize("name", CODES)
def test_examples_run(name: str, here: Callable[..., Result], tmp_path: Path, monkeypatch) -> None:
    """As its first lines say: a folder, an exit code, and no traceback."""
    for variable in ("OPENAI_API_KEY", "OPENAI_API_KEY_FILE"):
        monkeypatch.delenv(variable, raising=False)
    done = here(
        "run", ROOT / "examples" / f"{name}.yaml", *MORE.get(name, []), "--out", tmp_path / "r", "--json"
    )
    assert done.exit_code == CODES[name], done.stderr
    if CODES[name] == 0:
        assert json.loads(done.stdout)["stopped"]["ok"]


def test_rounds_are_simultaneous(here: Callable[..., Result]) -> None:
    """In a round all see the same transcript."""
    messages = json.loads(here("run", ROOT / "examples" / "rounds.yaml", "--json").stdout)["messages"]
    assert [m["as_of"] for m in messages[1:]] == [1, 1, 1, 4, 4, 4]


@pytest.mark.slow
def test_demo(symposia: Process, tmp_path: Path) -> None:
    """The demo steers every turn of one speaker, measures it, and keeps a vector that chat can use."""
    done = symposia("demo", "--json", "--samples", 4, "--out", tmp_path / "d")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["applied"] == report["turns"] == 3
    assert report["tokens"] > 0
    plain, steered = (json.loads((tmp_path / "d" / f"{n}.json").read_bytes()) for n in ("plain", "steered"))
    assert plain["conversation"] == steered["conversation"]
    for a, b in zip(plain["transcript"][1:], steered["transcript"][1:], strict=True):
        assert a["provenance"]["seed"] == b["provenance"]["seed"]
    vector = tmp_path / "d" / "warmth.safetensors"
    chat = symposia("chat", "--steer", f"{vector}:1@4", "--max-tokens", 8, stdin="Do you like tea?\n")
    assert chat.returncode == 0, chat.stderr
    assert "steered (1 of 1 applied" in chat.stderr
