"""A direction from a file in Python: what was fitted on the command line steers by the library."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

import symposia
from symposia.core.errors import InvalidInput
from symposia.facade import engines
from symposia.interp.kinds import UnreadableVector
from tests.cli.process import ROOT


def test_a_saved_direction_is_loaded_and_steers(tmp_path: Path) -> None:
    """The same digest, the same suggested layer, and a receipt for what it did."""
    made = symposia.fit(ROOT / "examples" / "warm.jsonl", "symposia:tiny", name="warm")
    made.save(tmp_path / "warm.safetensors")
    loaded = symposia.load_direction(tmp_path / "warm.safetensors")
    assert loaded.digest == made.digest
    assert loaded.layer == made.layer == made.diagnosis.suggested
    assert engines().library.find(loaded.digest).header == made.vector.header
    profile = symposia.Profile(model="symposia:tiny", sampling=symposia.Sampling(max_tokens=4))
    people = [symposia.Participant(name=name, profile=profile) for name in ("ann", "bob")]
    talk = symposia.Conversation(people)
    talk.run(1, prompt="Tea or coffee?")
    said = talk.step("bob", interventions=[loaded.add(0.5)])
    assert said.provenance.receipts[0].status == "applied"
    assert said.provenance.receipts[0].layers[0].layer == made.layer


def test_a_file_of_another_tool_suggests_no_layer(tmp_path: Path) -> None:
    """It says nothing of how well its layers separate; layers that are named are used."""
    made = symposia.fit(ROOT / "examples" / "warm.jsonl", "symposia:tiny", name="bare").vector
    bare = {layer: msgspec.structs.replace(notes, auroc=None) for layer, notes in made.header.layers.items()}
    made.with_header(msgspec.structs.replace(made.header, layers=bare)).save(tmp_path / "b.safetensors")
    loaded = symposia.load_direction(tmp_path / "b.safetensors")
    with pytest.raises(InvalidInput, match="name the layers"):
        loaded.add(1.0)
    assert loaded.add(1.0, layers=(2,)).layers == (2,)
    (tmp_path / "x.safetensors").write_bytes(b"x")
    with pytest.raises(UnreadableVector):
        symposia.load_direction(tmp_path / "x.safetensors")
