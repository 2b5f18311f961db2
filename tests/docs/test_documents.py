"""The code people copy runs: README, tutorial, examples."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

pytest.importorskip("torch")

from symposia.interp.dose.values import Dose
from symposia.testing.faults import KINDS, MATRIX

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\((?!https?://|#)([^)#]+)")
GUIDES = ("vectors.md", "tools.md", "hosted_models.md", "testing.md", "debate.md")
PAGES = ("README.md", "docs/tutorial.md", *(f"docs/{guide}" for guide in GUIDES))
FIGURE = "docs/a_causal_figure_in_ten_lines.md"
DOCUMENTS = (
    *PAGES,
    FIGURE,
    "docs/looking_inside.md",
    "docs/scorecard.md",
    "docs/observability.md",
    "examples/README.md",
    "CONTRIBUTING.md",
)


def run(arguments: list[str], cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path, "HF_HUB_OFFLINE": "1"}
    return subprocess.run(
        [sys.executable, *arguments], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("page", PAGES)
def test_the_code_of_a_page_runs(page: str) -> None:
    """Every Python block of the page runs, one after the other, in one process and without a network."""
    blocks = BLOCK.findall((ROOT / page).read_text(encoding="utf-8"))
    assert blocks
    done = run(["-c", "\n".join(blocks)])
    assert done.returncode == 0, done.stderr
    assert done.stdout


SAID = {
    "serve_budget.py": (
        r"'429 steering_budget_exceeded': \d+",
        r"at any time: ([789]\d{3}|10000) of 10000",
        r"one that asks for \d+ more: 429",
        r"warn only, the same one: 200",
        r"hard again, \d+ more: 429 steering_budget_exceeded, retry-after-ms \d+",
        r"half a second before: 429",
        r"then: 200",
    ),
    "serve_profiles.py": (
        r"models: tiny, tiny@warm",
        r"applied: true, \|δ\| 0\.\d+ of \|h\|, [1-9]\d* tokens steered",
        r"killed: arm baseline, the same as plain: True",
    ),
}
"""What examples must say, line by line, beside running."""


@pytest.mark.timeout(300)
@pytest.mark.parametrize("script", sorted(p.name for p in (ROOT / "examples").glob("*.py")))
def test_an_example_runs(script: str) -> None:
    """The example runs as it stands and says something; some say what they promise."""
    done = run([f"examples/{script}"])
    assert done.returncode == 0, done.stderr
    assert done.stdout
    for said in SAID.get(script, ()):
        assert re.search(said, done.stdout), done.stdout


@pytest.mark.parametrize("page", DOCUMENTS)
def test_links_lead_somewhere(page: str) -> None:
    """Every relative link of the page names a file that is there."""
    for target in LINK.findall((ROOT / page).read_text(encoding="utf-8")):
        assert (ROOT / page).parent.joinpath(target).exists(), f"{page} links to {target}"


@pytest.mark.parametrize("script", sorted(p.name for p in (ROOT / "examples").glob("*.py")))
def test_an_example_is_short(script: str) -> None:
    """At most 40 lines, 60 where a server is started, and named in the folder's README."""
    most = 60 if script.startswith("serve_") else 40
    assert len((ROOT / "examples" / script).read_text(encoding="utf-8").splitlines()) <= most
    assert f"`{script}`" in (ROOT / "examples" / "README.md").read_text(encoding="utf-8")


def test_branching_shows_what_it_promises() -> None:
    """The branch example's twin agrees with its parent, and the parent's digest is unchanged."""
    done = run(["examples/branch_and_sample.py"])
    assert "the twin agrees with the parent: True" in done.stdout
    assert "the parent's digest is unchanged: True" in done.stdout


def test_the_page_on_testing_has_every_step_of_a_plan() -> None:
    """The table of steps is the list the parser reads; that of models, the matrix."""
    page = (ROOT / "docs/testing.md").read_text(encoding="utf-8")
    assert [step for step in KINDS if f"`{step}`" not in page] == []
    assert [row.name for row in MATRIX if f"| `{row.name}` |" not in page] == []


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_the_ten_lines_make_a_causal_figure(tmp_path: Path) -> None:
    """They are ten, they run, and what the page says holds: the vector stands out, at a price."""
    [lines] = BLOCK.findall((ROOT / FIGURE).read_text(encoding="utf-8"))
    assert len([line for line in lines.splitlines() if line.strip()]) == 10
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    done = run(["-c", lines], tmp_path)
    assert done.returncode == 0, done.stderr
    drawn = (tmp_path / "runs/warmth/dose.svg").read_text(encoding="utf-8")
    assert "random directions" in drawn
    found = msgspec.json.decode((tmp_path / "runs/warmth/dose.json").read_bytes(), type=Dose)
    assert found.chosen is not None
    on_b = {r.kind: r for r in found.chosen.on_b}
    assert set(on_b) == {"base", "prompt", "vector", "wrong_sign", "random", "matched"}
    ours = on_b["vector"]
    for kind in ("base", "wrong_sign", "random", "matched"):
        assert ours.concept.low > on_b[kind].concept.high, kind
    assert on_b["wrong_sign"].concept.mean < on_b["base"].concept.mean
    assert abs(on_b["random"].concept.mean - on_b["base"].concept.mean) < 0.1
    assert ours.perplexity < 1.3 * on_b["base"].perplexity
    most = found.at("vector", 1.0)
    assert most.concept.mean > ours.concept.mean
    assert most.salad > 0.25
    assert {r.applied for r in found.responses if r.applied is not None} == {1.0}
