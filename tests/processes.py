"""Servers as processes of their own, on ports nobody else has."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Self

ROOT = Path(__file__).parents[1]
SERVE = [sys.executable, "-m", "symposia.cli", "serve"]


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def environment(**more: str) -> dict[str, str]:
    """A plain environment: the tree's own sources, one thread of arithmetic."""
    kept = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "LANG", "TMPDIR")}
    return {**kept, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", **more}


class Process:
    """A server process with a way to see that it is up; ended on leaving. `said` is its stderr."""

    def __init__(
        self,
        command: list[str],
        *,
        port: int,
        answers: str,
        folder: Path,
        env: dict[str, str],
        trusted: ssl.SSLContext | None = None,
    ) -> None:
        self.port, self._trusted = port, trusted
        self._answers, self._path = answers, folder / f"stderr-{free_port()}.txt"
        with self._path.open("wb") as errors:
            self.process = subprocess.Popen(
                command, cwd=folder, env=env, stderr=errors, stdout=subprocess.DEVNULL
            )

    @property
    def said(self) -> str:
        return self._path.read_text()

    def __enter__(self) -> Self:
        deadline = time.monotonic() + 60
        while not self._up():
            assert self.process.poll() is None, f"it ended: {self.said}"
            assert time.monotonic() < deadline, f"it does not answer: {self.said}"
            time.sleep(0.02)
        return self

    def __exit__(self, *exc: object) -> None:
        if self.process.poll() is None:
            self.end()

    def end(self, number: int = signal.SIGTERM) -> int:
        """Tell it to end; its exit code."""
        self.process.send_signal(number)
        return self.process.wait(60)

    def _up(self) -> bool:
        try:
            with urllib.request.urlopen(self._answers, timeout=5, context=self._trusted) as answer:
                return answer.status == 200
        except urllib.error.HTTPError:
            return False
        except OSError:
            return False


def serving(folder: Path, *flags: str, port: int | None = None, ready: bool = True, **env: str) -> Process:
    """`symposia serve`, up once it is ready, or once it listens. `.port` says where."""
    at = free_port() if port is None else port
    path = "readyz" if ready else "healthz"
    return Process(
        [*SERVE, "--port", str(at), *flags],
        port=at,
        answers=f"http://127.0.0.1:{at}/{path}",
        folder=folder,
        env=environment(**env),
    )


def upstream(folder: Path, *flags: str) -> Process:
    """The standing upstream that fails by the model's name."""
    at = free_port()
    return Process(
        [sys.executable, "-m", "symposia.testing.faults", "--serve", str(at), *flags],
        port=at,
        answers=f"http://127.0.0.1:{at}/v1/models",
        folder=folder,
        env=environment(),
    )
