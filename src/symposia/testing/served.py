"""A server for tests and demonstrations: `symposia serve` as a process of its own, on a port nobody has."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from symposia.core.errors import InvalidInput

_TRIES_S = 0.1
_END_S = 60.0


@contextmanager
def served(
    *arguments: str, cwd: Path | None = None, env: Mapping[str, str] | None = None, wait_s: float = 60.0
) -> Iterator[str]:
    """`symposia serve` with these arguments: its root URL, once it says that it is ready. It drains at the end.

    What it keeps is forgotten unless `--store` is among them; `env` is added to the environment. `InvalidInput`, with
    what it said, if it ends early or is not ready after `wait_s`.
    """
    port = _free_port()
    store = () if "--store" in arguments else ("--store", "memory")
    command = [sys.executable, "-m", "symposia.cli", "serve", "--port", str(port), *store, *arguments]
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(  # noqa: S603  this interpreter, with the caller's own arguments
            command, cwd=cwd, env={**os.environ, **(env or {})}, stdout=said, stderr=said
        )
        try:
            if not _ready(process, port, wait_s):
                said.seek(0)
                raise InvalidInput(f"symposia serve did not start: {said.read().decode(errors='replace')}")
            yield f"http://127.0.0.1:{port}"
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            try:
                process.wait(_END_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _ready(process: subprocess.Popen[bytes], port: int, wait_s: float) -> bool:
    """Whether it came up in time; false at once if it ended."""
    left = wait_s
    while left > 0:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=wait_s)
        try:
            connection.request("GET", "/readyz")
            if connection.getresponse().status == 200:
                return True
        except (OSError, http.client.HTTPException):  # it does not listen yet
            pass
        finally:
            connection.close()
        try:
            process.wait(_TRIES_S)
        except subprocess.TimeoutExpired:
            left -= _TRIES_S
        else:
            return False
    return False


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
    return port
