"""Strangers' requests: schemathesis reads our OpenAPI document and asks a running server whatever comes to it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from symposia.core.clock import SystemClock
from symposia.store import opened
from symposia.store.keys import Grant
from tests.serving import Serving, scripted

CONFIG = Path(__file__).with_name("schemathesis.toml")
SCOPES = ("inference", "steering-inline", "metrics", "admin", "kill")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_whatever_is_asked_nothing_breaks_and_nothing_is_undocumented(tmp_path: Path) -> None:
    """All checks, examples, coverage and fuzzing of every route but the one that turns the server off."""
    storage = opened("memory", clock=SystemClock())
    _, secret = storage.keys.create(Grant(name="stranger", scopes=SCOPES), actor="test")
    features = frozenset({"tools", "force", "schema", "logprobs", "seed"})
    with Serving({"m": scripted(features=features)}, storage=storage, insecure_dev=False) as serving:
        command = [
            *[str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(CONFIG)],
            *["run", f"{serving.root}/openapi.json", "--checks", "all"],
            *["--phases", "examples,coverage,fuzzing", "--max-examples", "4", "--seed", "7"],
            *[
                "--exclude-path-regex",
                "drain",
                "--header",
                f"Authorization: Bearer {secret.reveal()}",
                "--no-color",
            ],
        ]
        done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=tmp_path, timeout=580)
        assert serving.failures == []
    assert done.returncode == 0, done.stdout[-6000:]
    tested = re.search(r"Tested: (\d+)", done.stdout)
    assert tested, done.stdout[-2000:]
    assert int(tested[1]) >= 25
