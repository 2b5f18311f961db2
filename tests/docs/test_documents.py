"""The code people copy runs: README, tutorial, examples."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\((?!https?://|#)([^)#]+)")
PAGES = ("README.md", "docs/tutorial.md")
DOCUMENTS = (*PAGES, "examples/README.md", "CONTRIBUTING.md")


def run(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path, "HF_HUB_OFFLINE": "1"}
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("page", PAGES)
def test_the_code_of_a_page_runs(page: str) -> None:
    """Every Python block of the page runs, one after the other, in one process and without a network."""
    blocks = BLOCK.findall((ROOT / page).read_text(encoding="utf-8"))
    assert blocks
    done = run(["-c", "\n".join(blocks)])
    assert done.returncode == 0, done.stderr
    assert done.stdout


@pytest.mark.parametrize("script", sorted(p.name for p in (ROOT / "examples").glob("*.py")))
def test_an_example_runs(script: str) -> None:
    """The example runs as it stands and says something."""
    done = run([f"examples/{script}"])
    assert done.returncode == 0, done.stderr
    assert done.stdout


@pytest.mark.parametrize("page", DOCUMENTS)
def test_links_lead_somewhere(page: str) -> None:
    """Every relative link of the page names a file that is there."""
    for target in LINK.findall((ROOT / page).read_text(encoding="utf-8")):
        assert (ROOT / page).parent.joinpath(target).exists(), f"{page} links to {target}"


def test_branching_shows_what_it_promises() -> None:
    """The branch example's twin agrees with its parent, and the parent's digest is unchanged."""
    done = run(["examples/branch_and_sample.py"])
    assert "the twin agrees with the parent: True" in done.stdout
    assert "the parent's digest is unchanged: True" in done.stdout
