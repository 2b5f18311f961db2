"""Debates on the bundled model, as a user types them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import here
from tests.cli.process import COMMAND, ROOT, environment

__all__ = ["here"]
TRAIN = "A train leaves at 9:40 and arrives at 13:05. How long does it take?"


def test_a_debate_with_everything_and_the_same_again(here, tmp_path: Path) -> None:
    """Answer on stdout, rounds, beliefs, ledger and two baselines on stderr; again: no call, the same bytes."""
    out = tmp_path / "d1"
    flags = ("--model", "symposia:tiny", "--team", "A", "--tools", "calculator", "--beliefs", "--baseline")
    first = here("debate", TRAIN, *flags, "--out", out)
    assert first.exit_code == 0, first.stderr
    assert first.stdout.strip()
    for said in ("round 1", "holds", "captain", "baseline single_tools", "baseline sc@calls"):
        assert said in first.stderr
    second = here("debate", TRAIN, *flags, "--out", out)
    assert (second.exit_code, second.stdout) == (0, first.stdout)
    assert "0 new calls" in second.stderr


@pytest.mark.parametrize(
    ("flags", "rounds"), [(["--stop", "fixed:2", "--select", "vote"], 2), (["--stop", "fixed:1"], 1)]
)
def test_fixed_rounds_make_the_calls_of_the_formula(here, flags: list[str], rounds: int) -> None:
    done = here("debate", "What is 3 plus 4?", "--model", "symposia:tiny", "--json", *flags)
    printed = json.loads(done.stdout)
    candidates = len(printed["support"])
    asked = [row for row in printed["ledger"]["rows"] if row["purpose"] != "repair"]
    assert printed["rounds"] == rounds
    assert len(asked) == 3 * rounds + (2 if candidates > 1 and "vote" not in flags else 0)


def test_a_team_at_three_addresses_of_which_one_fails_half_its_calls(tmp_path: Path) -> None:
    """The bundled model, a server over loopback and a script: an answer, causes, costs by seat."""
    script = "scripted:examples/debate/script.py:reply"
    (tmp_path / "team.yaml").write_text(
        f"team: mixed\nmodel: symposia:tiny\ncaptain: {{model: '{script}'}}\nseats:\n"
        "  - {disposition: evidence}\n"
        "  - {disposition: derivation, model: 'openai:gpt-x'}\n"
        f"  - {{disposition: practice, model: '{script}'}}\n"
    )
    faults = [sys.executable, "-m", "symposia.testing.faults", "--plan", "400,200,400", "--strict", "--"]
    asked = ["debate", "[company] What is 3 plus 4?", "--team-file", str(tmp_path / "team.yaml"), "--json"]
    done = subprocess.run(
        [*faults, *COMMAND, *asked],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=ROOT,
        env=environment(),
        check=False,
    )
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    hosted = next(seat for seat in printed["seats"] if seat["name"] == "derivation")
    assert [one["cause"] for one in hosted["abstained"]] == ["invalid_request", "invalid_request"]
    assert (printed["status"], printed["rounds"]) == ("answered", 3)
    assert "planted" not in done.stdout + done.stderr
