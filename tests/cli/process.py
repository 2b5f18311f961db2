"""Starting `symposia` as a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "symposia.cli"]


def environment(**more: str) -> dict[str, str]:
    """A plain environment: the tree's own sources, no terminal, no colours."""
    kept = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "LANG", "TMPDIR")}
    return {**kept, "PYTHONPATH": str(ROOT / "src"), "HF_HUB_OFFLINE": "1", **more}


Process = Callable[..., subprocess.CompletedProcess[str]]
