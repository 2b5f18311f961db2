"""The command line as a user meets it: a real process, or the application in this one."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tests.cli.process import COMMAND, ROOT, Process, environment


@pytest.fixture
def symposia() -> Process:
    """`symposia(*arguments, stdin=…)` in a process of its own, at the root of the repository."""

    def run(*arguments: object, stdin: str = "", cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, *map(str, arguments)],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=90,
            cwd=cwd,
            env=environment(),
            check=False,
        )

    return run


@pytest.fixture
def here() -> Callable[..., Result]:
    """`here(*arguments)` in this process, where the engine is loaded once for all tests."""
    from symposia.cli.main import app

    runner = CliRunner()

    def run(*arguments: object, stdin: str = "") -> Result:
        return runner.invoke(app, [str(a) for a in arguments], input=stdin, catch_exceptions=False)

    return run


SCRIPTED = """symposia: 1
name: long
seed: 3
endpoints:
  script:
    kind: scripted
    latency_s: {latency}
    cycle: true
    replies: {{alice: [one, two, three], bob: [uno, dos]}}
participants:
  alice: {{model: "script:alice"}}
  bob: {{model: "script:bob"}}
shared_context: Count.
until: {{type: turns, n: 8}}
"""


@pytest.fixture
def counting(tmp_path: Path) -> Callable[[float], Path]:
    """A scenario of eight scripted turns, each taking so many seconds."""

    def make(latency: float = 0.0) -> Path:
        path = tmp_path / f"counting-{latency}.yaml"
        path.write_text(SCRIPTED.format(latency=latency))
        return path

    return make
