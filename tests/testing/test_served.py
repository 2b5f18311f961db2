"""`symposia.testing.served`: a server that is ready when its URL is given, and gone afterwards."""

from __future__ import annotations

from pathlib import Path

import httpx2
import pytest

from symposia.core.errors import InvalidInput
from symposia.testing import served

ENV = {"PYTHONPATH": str(Path(__file__).parents[2] / "src")}


@pytest.mark.slow
def test_it_is_ready_and_then_gone(tmp_path: Path) -> None:
    """It answers at its URL within the block, and nobody does after it."""
    (tmp_path / "script.py").write_text("def reply(request):\n    return 'yes'\n")
    with served("--insecure-dev", "--model", "m=scripted:script.py:reply", cwd=tmp_path, env=ENV) as url:
        assert [one["id"] for one in httpx2.get(f"{url}/v1/models").json()["data"]] == ["m"]
    with pytest.raises(httpx2.TransportError):
        httpx2.get(f"{url}/healthz")


@pytest.mark.slow
def test_one_that_does_not_start_says_why(tmp_path: Path) -> None:
    """Without a key it refuses, and the refusal is the error."""
    with pytest.raises(InvalidInput, match="no usable key"), served(cwd=tmp_path, env=ENV):
        pass
