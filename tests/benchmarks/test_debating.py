"""Promise: the endpoint of the debate benchmark is one that both clients understand. Nothing here is timed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parents[2] / "benchmarks"


@pytest.mark.parametrize(
    ("arm", "rounds", "calls"), [("scripted", 1, 15), ("scripted", 3, 39), ("sdk", 1, 15), ("plain", 1, 30)]
)
def test_an_arm_makes_the_calls_it_says(arm: str, rounds: int, calls: int) -> None:
    """Three debates of one round are 15 calls, of three rounds 39: seats, captain, one choice."""
    order = {
        "arm": arm,
        "debates": 3,
        "rounds": rounds,
        "at_once": 2,
        "journal": arm == "scripted",
        "url": "",
    }
    ran = subprocess.run(
        [sys.executable, str(HERE / "debating.py")],
        input=json.dumps(order) + "\n",
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["calls"] == calls
