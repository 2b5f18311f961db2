"""Servers as processes of their own, started by the command line, with a scripted model that takes interventions."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx2

from tests.serving import until

ROOT = Path(__file__).parents[3]
SCRIPT = """FEATURES = {"reply": {"interventions", "read"}}


def reply(request):
    return "said " + str(len(request.interventions))
"""


@contextmanager
def servers(store: str, folder: Path, n: int = 2) -> Iterator[list[str]]:
    """The roots of `n` servers on one store, each ready; they drain at the end and must exit 0."""
    (folder / "script.py").write_text(SCRIPT)
    with ExitStack() as stack:
        yield [stack.enter_context(_server(store, folder)) for _ in range(n)]


@contextmanager
def _server(store: str, folder: Path) -> Iterator[str]:
    port = _free()
    command = [sys.executable, "-m", "symposia.cli", "serve", "--insecure-dev", "--port", str(port)]
    command += ["--store", store, "--model", "tiny=scripted:script.py:reply", "--log-level", "error"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    process = subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True)
    root = f"http://127.0.0.1:{port}"
    try:
        until(lambda: process.poll() is not None or _is_ready(root), 60)
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        yield root
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=60)
        assert process.returncode == 0, said
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


def _is_ready(root: str) -> bool:
    try:
        return httpx2.get(f"{root}/readyz").status_code == 200
    except httpx2.TransportError:
        return False


def _free() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
    return port
