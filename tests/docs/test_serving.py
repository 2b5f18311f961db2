"""The page on serving: every command and every piece of code on it, in order, in one shell."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "serving.md"
BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```", re.DOTALL | re.MULTILINE)
SAID = (
    r"it would start: tiny",
    r"^warm true ",
    r"^exit 1$",
    r"as they were written",
    r"^applied ",
    r"^exit 2$",
    r"x-steering-arm: baseline",
    r'"type":"kill_switched"',
    r"no pool holds anything",
    r"\['tiny'\]",
)


def script(folder: Path) -> str:
    """The page as one shell script: Python where Python stands, ports that are free in place of the page's."""
    text = PAGE.read_text(encoding="utf-8")
    lines = ["set -eo pipefail", "trap 'kill $(jobs -p) 2>/dev/null || true' EXIT"]
    for number, (kind, block) in enumerate(BLOCK.findall(text)):
        if kind == "python":
            path = folder / f"block_{number}.py"
            path.write_text(block, encoding="utf-8")
            lines.append(f"python {path.name}")
        else:
            lines.append(block)
    whole = "\n".join(lines)
    for port in ("8080", "8090"):
        whole = whole.replace(f":{port}", f":{_free()}")
    return whole


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(shutil.which("curl") is None, reason="the page asks with curl, which is not installed")
def test_the_page_on_serving_runs(tmp_path: Path) -> None:
    """One shell runs it to the end; it says what the page says it does."""
    told = script(tmp_path)
    ports = re.findall(r"http://127\.0\.0\.1:(\d+)/readyz", told)
    told = told.replace("symposia serve 2>", f"symposia serve --port {ports[0]} 2>")
    told = told.replace("symposia serve --port 8090", f"symposia serve --port {ports[1]}")
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    (tmp_path / "bin").mkdir()
    for name, command in (("symposia", "-m symposia.cli"), ("python", "")):
        program = tmp_path / "bin" / name
        program.write_text(f'#!/bin/sh\nexec {sys.executable} {command} "$@"\n')
        program.chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT / "src"),
        "HF_HUB_OFFLINE": "1",
    }
    done = subprocess.run(
        ["bash", "-c", told], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for said in SAID:
        assert re.search(said, done.stdout, re.MULTILINE), (said, done.stdout, done.stderr)
    secrets = re.findall(r"sk-sym-[a-z2-7]{12}-[\w-]{43}", done.stdout + done.stderr)
    assert secrets == []
    for log in ("serve.log", "second.log"):
        assert "sk-sym-" not in (tmp_path / log).read_text()


def _free() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
    return port
