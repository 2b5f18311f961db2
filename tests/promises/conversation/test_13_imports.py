"""Promise 13: `import symposia` loads nothing heavy; it prints, creates and reads nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[3] / "src"
HEAVY = ("torch", "transformers", "numpy", "openai", "anthropic", "mcp", "yaml", "rich", "typer", "pydantic")
# Values of the tensor column: who uses them is about to load it anyway.
INSIDE = ("ActivationQuery", "ActivationStore", "Design", "Groups", "Push")
ASKS = (
    "import symposia",
    "import symposia; [getattr(symposia, name) for name in symposia.__all__ if name not in INSIDE]",
    "import symposia; symposia.Scenario",
    "import symposia.talk.conversation, symposia.talk.converse, symposia.backends",
    "import symposia.testing",
)


@pytest.mark.parametrize("ask", ASKS)
def test_importing_is_light_and_silent(ask: str, tmp_path: Path) -> None:
    """mini-swe-agent printed, made folders and loaded `.env` on import: here nothing is loaded, said, made or read."""
    (tmp_path / ".env").write_text("SYMPOSIA_PLANTED=1")
    code = f"""
import sys
INSIDE = {INSIDE!r}
{ask}
import os
print(sorted(m for m in {HEAVY!r} if m in sys.modules), os.environ.get("SYMPOSIA_PLANTED"))
"""
    home = tmp_path / "home"
    home.mkdir()
    run = subprocess.run(
        [sys.executable, "-B", "-W", "error", "-c", code],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(SOURCE), "HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.stdout, run.stderr, run.returncode) == ("[] None\n", "", 0)
    assert sorted(p.name for p in tmp_path.rglob("*")) == [".env", "home"]
