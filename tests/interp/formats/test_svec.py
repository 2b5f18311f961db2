""".svec files of both tools: read where read or where applied, heads at z, planes as planes."""

from __future__ import annotations

import pytest
import torch

from symposia.core.errors import InvalidInput
from symposia.interp.formats.convert import import_vector
from symposia.interp.formats.foreign import Asked, ConventionNeeded
from symposia.interp.kinds import UnreadableVector
from tests.interp.formats.files import SHAPE, rows, svec

ROWS = dict(enumerate(rows(4)))
VARIANCES = {str(layer): 0.3 for layer in ROWS}
OURS = Asked(convention="block_output")


def test_ibm_is_read_where_it_read(tmp_path):
    """Block l's output, the default; fitted norms are the rows' lengths."""
    found = import_vector(svec(tmp_path / "v.svec", ROWS, explained_variances=VARIANCES), Asked(shape=SHAPE))
    assert found.layers == (0, 1, 2, 3)
    assert found.header.origin["changes"][2] == "directions[2] -> block 2, where it was read"
    for block in found.layers:
        back = found.directions[block] * found.notes(block).fitted_norm
        assert torch.allclose(back, ROWS[block], rtol=1e-6)


def test_ibm_as_applied_is_a_block_earlier(tmp_path):
    """Its hook adds to the input of block l: the output of block l-1. The input of block 0 is no block's output."""
    path = svec(tmp_path / "v.svec", ROWS, explained_variances=VARIANCES)
    read, applied = import_vector(path, Asked()), import_vector(path, Asked(applied=True))
    assert applied.layers == (0, 1, 2)
    for block in applied.layers:
        assert applied.directions[block].equal(read.directions[block + 1])
    changes = applied.header.origin["changes"]
    assert changes[0].startswith("directions[0] left out")
    assert changes[1] == "directions[1] -> block 0, where it was applied: block 1's input"
    assert applied.digest != read.digest


def test_aisteer_asks_for_a_convention(tmp_path):
    """Lists of one row, or rows of an older version without variances."""
    for name, held in (("a", {k: v[None] for k, v in ROWS.items()}), ("b", ROWS)):
        path = svec(tmp_path / f"{name}.svec", held)
        with pytest.raises(ConventionNeeded, match="hidden_states"):
            import_vector(path, Asked())
        found = import_vector(path, OURS)
        assert found.layers == (0, 1, 2, 3)
        assert found.header.origin["format"] == "svec of AISteer360"
        moved = import_vector(path, Asked(convention="hidden_states", shape=SHAPE))
        assert moved.layers == (0, 1, 2)
        assert moved.directions[0].equal(found.directions[1])


def test_heads_stand_side_by_side_at_z(tmp_path):
    """[heads, head size] becomes one direction of the site, of its whole length."""
    held = {2: rows(2, width=6)}
    found = import_vector(svec(tmp_path / "v.svec", held, num_heads=2, head_dim=6), Asked(shape=SHAPE))
    assert found.header.read.site == "z"
    assert found.header.model.width == 12
    assert torch.allclose(found.directions[2] * found.notes(2).fitted_norm, held[2].flatten(), rtol=1e-6)
    assert "z: 2 heads side by side" in found.header.origin["changes"][0]
    with pytest.raises(UnreadableVector, match=r"expected rows \[3, 6\]"):
        import_vector(svec(tmp_path / "w.svec", held, num_heads=3, head_dim=6), Asked())


def test_two_orthonormal_rows_are_a_plane(tmp_path):
    """Two others are positions, which are not read."""
    basis = torch.linalg.qr(rows(8, 2)).Q.T
    found = import_vector(svec(tmp_path / "p.svec", {1: basis, 2: basis}), OURS)
    assert found.header.kind == "plane"
    assert torch.allclose(found.directions[1], basis, atol=1e-6)
    for held in ({1: rows(2)}, {1: rows(3)}, {1: basis, 2: rows(1)}):
        with pytest.raises(UnreadableVector, match="ActAdd"):
            import_vector(svec(tmp_path / "q.svec", held), OURS)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "expected JSON"),
        ('{"directions": {"1": [1.0]}}', "model_type"),
        ('{"model_type": "m", "directions": {"last": [1.0]}}', "directions"),
        ('{"model_type": "m", "directions": {"1": [[1.0], [1.0, 2.0]]}}', "rows of one length"),
        ('{"model_type": "m", "directions": {}}', "got none"),
        ('{"model_type": "m", "directions": {"1": [0.0, 0.0]}, "explained_variances": {}}', "length zero"),
        (
            '{"model_type": "m", "directions": {"1": [1.0], "2": [1.0, 2.0]}, "explained_variances": {}}',
            "one width",
        ),
    ],
)
def test_what_is_wrong_is_said(tmp_path, text, why):
    """Expected and got, by layer."""
    (tmp_path / "v.svec").write_text(text)
    with pytest.raises(UnreadableVector, match=why):
        import_vector(tmp_path / "v.svec", Asked())


def test_options_that_belong_elsewhere_are_refused(tmp_path):
    """A convention for IBM, as-applied for AISteer360, hidden states for heads, layers for either."""
    ibm = svec(tmp_path / "i.svec", ROWS, explained_variances=VARIANCES)
    theirs = svec(tmp_path / "a.svec", {1: rows(1)})
    heads = svec(tmp_path / "h.svec", {2: rows(2)}, num_heads=2)
    for path, asked in (
        (ibm, Asked(convention="hidden_states")),
        (theirs, Asked(convention="block_output", applied=True)),
        (heads, Asked(convention="hidden_states")),
        (ibm, Asked(layers=(1,))),
    ):
        with pytest.raises(InvalidInput):
            import_vector(path, asked)
