"""openai-420, in an environment of its own: a worker there holds debates of the same size and times them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parent
DEFAULT = Path(sys.prefix) / "openai_420" / "bin" / "python"
MAKE = "an environment of its own (`make .venv/.stamps/openai_420`), or --peer-python PATH"


def missing(python: Path) -> str:
    """What to do before openai-420 can be measured; nothing if `python` has it."""
    if not python.exists():
        return f"no interpreter for it: {MAKE}"
    asked = [str(python), "-c", "import importlib.util as u; print(u.find_spec('openai_420') is not None)"]
    has = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip() == "True"
    return "" if has else f"not in {python.name}'s environment: {MAKE}"


class Worker:
    """The process; `work` answers CPU and wall seconds and memory, measured in it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def work(self, debates: int, rounds: int, at_once: int, url: str = "") -> dict[str, float]:
        """All debates to their end; without `url` the endpoint is inside the process."""
        asked = {"debates": debates, "rounds": rounds, "at_once": at_once, "url": url}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(asked), file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        assert line, f"the openai-420 worker ended with {self._process.wait()}; its standard error is above"
        return json.loads(line)


@contextmanager
def worker(python: Path) -> Iterator[Worker]:
    """A worker, warm: its first call has been made."""
    process = subprocess.Popen(
        [str(python), "-P", str(HERE / "openai_420_worker.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        made = Worker(process)
        made.work(5, 1, 5)
        yield made
    finally:
        process.terminate()
        process.wait()
