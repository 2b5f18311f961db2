""".pt files: a declared convention or none at all, nothing unpickled, dropped rows said."""

from __future__ import annotations

import argparse
import pickle
import sys
import tempfile
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from symposia.core.errors import InvalidInput
from symposia.interp.formats.convert import export_vector, import_vector
from symposia.interp.formats.foreign import Asked, ConventionNeeded
from symposia.interp.kinds import UnreadableVector
from tests.interp.formats.files import SHAPE, rows
from tests.interp.vectors import of_kind, vector

PEER = (
    "needs steering-vectors, which wants transformers 4: pip install --no-deps --target peers "
    "steering-vectors==0.12.2, then PYTHONPATH=peers:src"
)
OURS, THEIRS = Asked(convention="block_output"), Asked(convention="hidden_states")


def saved(path: Path, held) -> Path:
    torch.save(held, path)
    return path


def back(found, layer):
    """The row as the file had it."""
    return found.directions[layer] * found.notes(layer).fitted_norm


@pytest.mark.parametrize("held", [rows(5), dict(enumerate(rows(5))), list(rows(5))])
def test_an_undeclared_convention_is_asked_for(tmp_path, held):
    """Both readings are named with what they mean for this file, also where the model is known."""
    path = saved(tmp_path / "persona.pt", held)
    for asked in (Asked(), Asked(shape=SHAPE)):
        with pytest.raises(ConventionNeeded) as needed:
            import_vector(path, asked)
        told = str(needed.value)
        assert "0..4" in told
        assert "--convention block_output" in told
        assert "--convention hidden_states" in told


def test_persona_vectors_are_hidden_states(tmp_path):
    """Row L is the output of block L-1; the embedding and the row past the final norm are left out, and said."""
    path = saved(tmp_path / "evil_response_avg_diff.pt", rows(5))
    found = import_vector(path, THEIRS)
    assert found.layers == (0, 1, 2)
    for block in found.layers:
        assert torch.allclose(back(found, block), rows(5)[block + 1], rtol=1e-6)
    changes = found.header.origin["changes"]
    assert changes[0] == "row 0 left out: the embedding, no block's output"
    assert changes[3] == "row 3 -> block 2"
    assert changes[4] == "row 4 left out: past the final norm, no block's output"
    assert import_vector(path, Asked(convention="hidden_states", shape=SHAPE)).header.model.layers == 4
    with pytest.raises(UnreadableVector, match="expected 5 rows, the hidden states of m; got 4"):
        import_vector(saved(tmp_path / "b.pt", rows(4)), Asked(convention="hidden_states", shape=SHAPE))


@given(st.integers(0, 500), st.sets(st.integers(0, 40), min_size=1, max_size=4))
def test_dicts_by_block_come_back(seed, layers):
    """What we write, plain torch reads: rows at their fitted length under their block; and we read it again."""
    one = vector(seed, layers=sorted(layers))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "v.pt"
        export_vector(one, path)
        held = torch.load(path, weights_only=True)
        again = import_vector(path, OURS)
    assert sorted(held) == sorted(layers)
    for layer in layers:
        assert torch.allclose(held[layer], 2.0 * one.directions[layer], rtol=1e-6)
        assert torch.allclose(back(again, layer), held[layer], rtol=1e-6)


def test_numbers_as_text_and_half_precision_are_read(tmp_path):
    """Keys "3", rows of bfloat16 and rows [1, D]."""
    path = saved(tmp_path / "v.pt", {"1": rows(1)[0].bfloat16(), "3": rows(1, seed=2)})
    found = import_vector(path, OURS)
    assert found.layers == (1, 3)
    assert torch.allclose(back(found, 1), rows(1)[0], rtol=1e-2)


def test_a_dict_of_hidden_states_needs_to_know_how_many_blocks_there_are(tmp_path):
    """Whether entry 4 is a block's output depends on the model."""
    path = saved(tmp_path / "v.pt", {2: rows(1)[0], 4: rows(1)[0]})
    with pytest.raises(UnreadableVector, match="-m MODEL"):
        import_vector(path, THEIRS)
    found = import_vector(path, Asked(convention="hidden_states", shape=SHAPE))
    assert found.layers == (1,)
    assert found.header.origin["changes"][1].startswith("layer 4 left out")


@pytest.mark.parametrize("held", [rows(1)[0], rows(1)])
def test_one_row_names_no_layer(tmp_path, held):
    """EasySteer's bare tensor: the blocks are named by the person, each gets the row."""
    path = saved(tmp_path / "v.pt", held)
    with pytest.raises(UnreadableVector, match="--layers"):
        import_vector(path, OURS)
    found = import_vector(path, Asked(layers=(1, 2)))
    assert torch.allclose(back(found, 1), rows(1)[0], rtol=1e-6)
    assert found.header.origin["changes"] == ["the one row -> block 1", "the one row -> block 2"]


def test_persona_vectors_are_written_in_their_shape(tmp_path):
    """[n+1, D] at rows 1..n-1, zero at both ends; read again they are the same directions."""
    one = vector(layers=(0, 1, 2, 3))
    changes = export_vector(one, tmp_path / "v.pt", "hidden_states")
    held = torch.load(tmp_path / "v.pt", weights_only=True)
    assert held.shape == (5, 8)
    assert not held[0].any()
    assert not held[4].any()
    assert any(line.startswith("block 3 left out") for line in changes)
    again = import_vector(tmp_path / "v.pt", THEIRS)
    assert again.layers == (0, 1, 2)
    for layer in again.layers:
        assert torch.allclose(again.directions[layer], one.directions[layer], atol=1e-6)
    with pytest.raises(InvalidInput, match=r"it lacks \[0\]"):
        export_vector(vector(layers=(1, 2)), tmp_path / "w.pt", "hidden_states")


SITES = {"decoder_block": "resid_post", "self_attn": "attn_out", "mlp": "mlp_out"}


@pytest.mark.parametrize("kind", SITES)
def test_steering_vectors_as_a_plain_dict(tmp_path, kind):
    """Its own layer types to sites, both ways, with no convention needed."""
    held = {"layer_activations": {1: rows(1)[0], 3: rows(1, seed=1)[0]}, "layer_type": kind}
    found = import_vector(saved(tmp_path / "v.pt", held), Asked(shape=SHAPE))
    assert found.header.read.site == SITES[kind]
    assert found.header.origin["changes"] == [f"{kind} 1 -> block 1", f"{kind} 3 -> block 3"]
    export_vector(found, tmp_path / "w.pt", "steering_vectors")
    again = torch.load(tmp_path / "w.pt", weights_only=True)
    assert again["layer_type"] == kind
    for layer, row in held["layer_activations"].items():
        assert torch.allclose(again["layer_activations"][layer], row, rtol=1e-6)


def test_a_module_that_is_normed_again_is_no_site(tmp_path):
    """self_attn of Gemma is read before its sandwich norm; without a model it is only told."""
    held = {"layer_activations": {1: rows(1)[0]}, "layer_type": "self_attn"}
    path = saved(tmp_path / "v.pt", held)
    gemma = SHAPE.__class__(
        **{name: getattr(SHAPE, name) for name in SHAPE.__struct_fields__} | {"type": "gemma2"}
    )
    with pytest.raises(UnreadableVector, match="before the norm that gemma2"):
        import_vector(path, Asked(shape=gemma))
    assert any("Gemma" in line for line in import_vector(path, Asked()).header.warnings)


class SteeringVector:
    """Stands for the class that steering-vectors pickles, under its name."""


SteeringVector.__module__ = "steering_vectors.steering_vector"


def test_pickles_are_refused_by_name_and_not_opened(tmp_path, monkeypatch):
    """Whatever they would import or run: the way out is said."""
    for name in ("steering_vectors", SteeringVector.__module__):
        module = types.ModuleType(name)
        module.SteeringVector = SteeringVector
        monkeypatch.setitem(sys.modules, name, module)
    made = SteeringVector()
    made.layer_activations, made.layer_type = {1: rows(1)[0]}, "decoder_block"
    with pytest.raises(
        UnreadableVector, match=r"pickled steering_vectors\.SteeringVector.*layer_activations"
    ):
        import_vector(saved(tmp_path / "a.pt", made), Asked())
    with pytest.raises(UnreadableVector, match=r"would run code \(argparse\)"):
        import_vector(saved(tmp_path / "b.pt", argparse.Namespace(x=1)), OURS)
    with pytest.raises(UnreadableVector, match="numpy"):
        import_vector(saved(tmp_path / "c.pt", np.ones(8)), OURS)

    class Evil:
        def __reduce__(self):
            return Path.touch, (tmp_path / "ran",)

    for name, text in (("d.pt", "would run code"), ("d.pkl", "pickles run code")):
        if name.endswith(".pkl"):
            (tmp_path / name).write_bytes(pickle.dumps(Evil()))
        else:
            saved(tmp_path / name, Evil())
        with pytest.raises(UnreadableVector, match=text):
            import_vector(tmp_path / name, Asked())
    assert not (tmp_path / "ran").exists()


class Learned:
    """Stands for EasySteer's LinearTransport, pickled with its attributes."""

    def __init__(self):
        self.A_ = np.eye(2)


def test_learned_interventions_are_refused_by_name(tmp_path):
    """LoReFT, LM-Steer (also with its arguments pickled beside it) and pickled maps are no directions."""
    eye = torch.eye(2)
    loreft = {"rotate_layer": eye, "learned_source.weight": eye, "learned_source.bias": eye[0]}
    steer = {"projector1": eye, "projector2": eye}
    for number, (held, name) in enumerate(
        (
            (loreft, "LoReFT"),
            (steer, "LM-Steer"),
            ([{"seed": 1}, steer], "LM-Steer"),
            ([argparse.Namespace(seed=1), steer], "LM-Steer"),
        )
    ):
        with pytest.raises(UnreadableVector, match=name):
            import_vector(saved(tmp_path / f"{number}.pt", held), OURS)
    (tmp_path / "map.pkl").write_bytes(pickle.dumps(Learned()))
    with pytest.raises(UnreadableVector, match="LinearTransport"):
        import_vector(tmp_path / "map.pkl", Asked())
    (tmp_path / "reft").mkdir()
    (tmp_path / "reft" / "reft_config.json").write_text("{}")
    with pytest.raises(UnreadableVector, match="LoReFT"):
        import_vector(tmp_path / "reft", Asked())


@pytest.mark.parametrize(
    ("held", "text"),
    [
        (torch.zeros(2, 3, 8), r"got a tensor \[2, 3, 8\]"),
        (torch.zeros(3, 8, dtype=torch.long), "torch.int64"),
        ({"weights": rows(1)[0]}, "a dict with 'weights'"),
        ({1: rows(1)[0], "note": "x"}, "a dict with 1, 'note'"),
        ({1: rows(1)[0], "1": rows(1)[0]}, "a dict with 1, '1'"),
        ({}, "a dict with nothing"),
        ("text", "str"),
        ({"layer_activations": {1: rows(1)[0]}}, "layer_type None"),
        ({"layer_activations": {1: rows(1)[0]}, "layer_type": "input_layernorm"}, "'input_layernorm'"),
        (
            {"layer_activations": {-1: rows(1)[0]}, "layer_type": "decoder_block"},
            r"blocks 0 and up; got \[-1\]",
        ),
        ({1: torch.full((8,), torch.nan)}, "NaN"),
        ({1: torch.zeros(8)}, "length zero"),
    ],
)
def test_what_came_instead_is_said(tmp_path, held, text):
    """Every other content, by its form."""
    declared = isinstance(held, dict) and "layer_activations" in held
    with pytest.raises(UnreadableVector, match=text):
        import_vector(saved(tmp_path / "v.pt", held), Asked() if declared else OURS)


def test_files_that_are_not_of_torch(tmp_path):
    """Text, nothing, no file, another ending."""
    for name, raw in (("text.pt", b"hello"), ("empty.pt", b"")):
        (tmp_path / name).write_bytes(raw)
        with pytest.raises(UnreadableVector, match=r"torch\.save"):
            import_vector(tmp_path / name, OURS)
    with pytest.raises(UnreadableVector, match="no such file"):
        import_vector(tmp_path / "none.pt", OURS)
    with pytest.raises(UnreadableVector, match=r"got \.npz"):
        import_vector(tmp_path / "v.npz", OURS)


def test_options_that_belong_elsewhere_are_refused(tmp_path):
    """Nothing said is ignored."""
    path = saved(tmp_path / "v.pt", rows(5))
    with pytest.raises(InvalidInput, match="--as-applied"):
        import_vector(path, Asked(convention="block_output", applied=True))
    with pytest.raises(UnreadableVector, match="layer_activations"):
        import_vector(path, Asked(convention="steering_vectors"))
    held = {"layer_activations": {1: rows(1)[0]}, "layer_type": "mlp"}
    with pytest.raises(InvalidInput, match="leave it out"):
        import_vector(saved(tmp_path / "s.pt", held), THEIRS)
    with pytest.raises(InvalidInput, match=r"\.npz"):
        export_vector(vector(), tmp_path / "v.npz")
    with pytest.raises(InvalidInput, match="is a latent"):
        export_vector(of_kind("latent"), tmp_path / "w.pt")


def test_the_package_applies_what_we_write(tmp_path):
    """With steering-vectors itself: its hook adds our rows to the blocks' outputs."""
    package = pytest.importorskip("steering_vectors", reason=PEER)
    one = vector(layers=(1, 2))
    export_vector(one, tmp_path / "v.pt", "steering_vectors")
    theirs = package.SteeringVector(**torch.load(tmp_path / "v.pt", weights_only=True))
    model = torch.nn.ModuleDict({"layers": torch.nn.ModuleList([torch.nn.Identity() for _ in range(4)])})
    with theirs.apply(model, layer_config={"decoder_block": "layers.{num}"}):
        hidden = torch.zeros(1, 3, 8)
        for block in model["layers"]:
            hidden = block(hidden)
    assert torch.allclose(hidden[0, 0], 2.0 * (one.directions[1] + one.directions[2]), rtol=1e-6)
