"""`make tiny-models`: a folder for every family of the tests, and one of a family that nobody knows."""

from __future__ import annotations

import json

from symposia.interp.anatomy import ANATOMIES
from tests.reference.families import FAMILIES
from tools.tiny_models import write


def test_every_family_and_one_that_is_none(tmp_path):
    """Whole checkpoints, of the type their folder says; `unlisted` has an anatomy nowhere."""
    folders = write(tmp_path)
    assert {path.name for path in folders} == {*FAMILIES, "unlisted"}
    for path in folders:
        told = json.loads((path / "config.json").read_text())["model_type"]
        assert told == path.name or (path.name == "unlisted" and told not in ANATOMIES)
        assert (path / "model.safetensors").stat().st_size > 100_000
        assert (path / "tokenizer.json").is_file()
        assert (path / "chat_template.jinja").is_file()
