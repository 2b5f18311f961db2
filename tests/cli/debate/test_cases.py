"""Each case of examples/debate/cases.yaml, played through the command line, comes to what it says."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from typer.testing import Result

from tests.cli.process import ROOT

CASES = yaml.safe_load((ROOT / "examples/debate/cases.yaml").read_text())
SCRIPT = "scripted:examples/debate/script.py"


def found(printed: dict[str, Any]) -> dict[str, Any]:
    """The result, with what the cases look for under its own name."""
    chosen = printed["selection"] or {}
    return {
        **printed,
        "calls": printed["ledger"]["totals"]["calls"],
        "fallbacks": [ruling["fallback"] for ruling in printed["rulings"]],
        "attempts": [ruling["attempts"] for ruling in printed["rulings"]],
        "directions": [ruling["direction"] for ruling in printed["rulings"]],
        "abstained": {
            seat["name"]: [one["cause"] for one in seat["abstained"]]
            for seat in printed["seats"]
            if seat["abstained"]
        },
        "method": chosen.get("method"),
        "choices": chosen.get("choices"),
        "tiebreak": chosen.get("tiebreak"),
    }


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["case"])
def test_a_case_comes_to_what_it_says(
    case: dict[str, Any], here: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Status, reason, answer, rounds, calls, flags, causes and exit code are those stated."""
    monkeypatch.chdir(ROOT)
    model = f"{SCRIPT}:{case.get('function', 'reply')}"
    question = f"[{case['case']}] What is 6 times 7?"
    done = here("debate", question, "--model", model, "--json", *case.get("args", ()))
    expected = dict(case["expect"])
    assert done.exit_code == expected.pop("exit"), done.stderr
    if "error" in expected:
        assert expected["error"] in done.stderr
        assert not done.stdout
        return
    printed = found(json.loads(done.stdout))
    assert {name: printed[name] for name in expected} == expected
