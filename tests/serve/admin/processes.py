"""Servers as processes of their own, with a scripted model that takes interventions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from symposia.testing import served

SOURCE = Path(__file__).parents[3] / "src"
SCRIPT = """FEATURES = {"reply": {"interventions", "read"}}


def reply(request):
    return "said " + str(len(request.interventions))
"""


@contextmanager
def servers(store: str, folder: Path, n: int = 2) -> Iterator[list[str]]:
    """The roots of `n` servers on one store, each ready."""
    (folder / "script.py").write_text(SCRIPT)
    asked = ("--insecure-dev", "--store", store, "--model", "tiny=scripted:script.py:reply")
    env = {"PYTHONPATH": str(SOURCE)}
    with ExitStack() as stack:
        yield [stack.enter_context(served(*asked, cwd=folder, env=env)) for _ in range(n)]
