"""Endpoints of one's own for commands that read no scenario: `--endpoints FILE`."""

from __future__ import annotations

from pathlib import Path

import pytest

from symposia.cli.endpointfile import read_endpoints
from symposia.core.errors import InvalidInput

SCRIPT = """
FEATURES = {"reply": {"choices"}}


def reply(request):
    return "yes" if request.choices else "Because.\\n[[ANSWER]] 4"
"""


def test_no_file_declares_none() -> None:
    """Without a file there are the built-in ones."""
    assert read_endpoints(None) == {}


def test_what_is_wrong_is_pointed_at(tmp_path: Path) -> None:
    """An unknown field is named with its line and the nearest known one; a missing file is named."""
    path = tmp_path / "e.yaml"
    path.write_text("endpoints:\n  up: {kind: openai, flavor: vllm}\n")
    with pytest.raises(InvalidInput, match=r"e\.yaml:2:.*flavor.*flavour"):
        read_endpoints(path)
    with pytest.raises(InvalidInput, match="expected a file of endpoints"):
        read_endpoints(tmp_path / "none.yaml")


def test_a_debate_over_declared_endpoints_is_held_and_replayed(here, tmp_path: Path, monkeypatch) -> None:
    """Seats and captain at endpoints of the file; a replay needs the file again, and says so without it."""
    (tmp_path / "script.py").write_text(SCRIPT)
    (tmp_path / "e.yaml").write_text(
        'endpoints:\n  four: {kind: scripted, cycle: true, replies: {practice: ["So.\\n[[ANSWER]] 4"]}}\n'
    )
    monkeypatch.chdir(tmp_path)
    flags = ("--model", "scripted:script.py:reply", "--seat", "practice=four:m", "--prompts", "short")
    held = here("debate", "2 + 2?", *flags, "--endpoints", "e.yaml", "--out", "run")
    assert (held.exit_code, held.stdout) == (0, "4\n"), held.stderr
    unknown = here("debate", "2 + 2?", *flags)
    assert unknown.exit_code == 2
    assert "no endpoint 'four' is declared" in unknown.stderr
    again = here("debate-replay", "run", "--mute", "evidence:1", "--repeats", 1, "--endpoints", "e.yaml")
    assert again.exit_code == 0, again.stderr
    assert "after: 4" in again.stdout
