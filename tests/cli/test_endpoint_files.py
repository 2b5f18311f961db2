"""Endpoints of one's own for commands that read no scenario: `--endpoints FILE`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from symposia.cli.endpointfile import read_endpoints
from symposia.core.errors import InvalidInput
from symposia.testing.faults import FaultyUpstream
from tests.cli.run import symposia


def test_no_file_declares_none() -> None:
    assert read_endpoints(None) == {}


def test_what_is_wrong_is_pointed_at(tmp_path: Path) -> None:
    path = tmp_path / "e.yaml"
    path.write_text("endpoints:\n  up: {kind: openai, flavor: vllm}\n")
    with pytest.raises(InvalidInput, match="flavour"):
        read_endpoints(path)
    with pytest.raises(InvalidInput, match="expected a file of endpoints"):
        read_endpoints(tmp_path / "none.yaml")
