"""Promise 6: kill -9 at 50 random moments, mid-round too: the same digest, and nothing that was kept is asked again."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from symposia.backends.journal import read_journal

ROOT = Path(__file__).parents[3]
KILLS = 50


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "seats", "calls"), [("rounds", 3, 180), ("debate", 5, 25 * 6 + 2)])
def test_killed_at_random_moments(tmp_path: Path, kind: str, seats: int, calls: int) -> None:
    """A conversation in simultaneous rounds, or a debate, killed 50 times, says what one left alone says."""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
    with subprocess.Popen(
        [sys.executable, str(ROOT / "tests" / "promises" / "debate" / "killed.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:

        def ordered(folder: Path, seed: int, after: int) -> list[str]:
            process.stdin.write(f"{kind} {folder} {seed} {after}\n")
            process.stdin.flush()
            said = []
            while (line := process.stdout.readline()) != "killed\n":
                assert line, "the parent of the killed process died"
                said.append(line.split())
            return said

        *asked, (_, digest) = ordered(tmp_path / "alone", 0, 0)
        assert len(asked) == calls
        folder, lost, in_a_round = tmp_path / "killed", 0, 0
        kept: set[str] = set()
        for seed in range(KILLS):
            said = ordered(folder, seed, 1 + seed % 4)
            assert not any(word == "done" for word, _ in said), "it ended before it was killed"
            asked = [name for _, name in said]
            assert kept.isdisjoint(asked)
            assert len(set(asked)) == len(asked)
            rows = list(read_journal(folder))
            kept = {row.request for row in rows}
            lost += len(set(asked) - kept)
            turns = [row.about.turn for row in rows if row.about.purpose in ("turn", "answer")]
            in_a_round += 0 < turns.count(max(turns, default=0)) < seats
        *asked, (_, again) = ordered(folder, 0, 0)
        process.stdin.close()
    assert again == digest
    assert kept.isdisjoint(name for _, name in asked)
    assert len(kept) + len(asked) == calls
    assert lost > 0, "no kill came while a request was under way; the test shows nothing"
    assert in_a_round > 0, "no kill came in the middle of a round; the test shows nothing"
