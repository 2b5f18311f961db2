"""The vector file: byte-identical round trips, digests that name what a vector does, refusals."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import msgspec
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from symposia.interp.kinds import UnreadableVector
from symposia.interp.vector import (
    KEY,
    Calibration,
    LayerNotes,
    Spread,
    SteeringVector,
    load_header,
    load_vector,
)
from tests.interp.vectors import of_kind, vector

KINDS = ("direction", "subspace", "plane", "means", "latent")


@given(
    st.integers(0, 50),
    st.sampled_from([None, 1, 3]),
    st.sets(st.integers(0, 3), min_size=1),
    st.text(max_size=8),
)
def test_write_read_write_is_byte_identical(seed, rank, layers, text):
    """Promise 10, for any header text and rank."""
    one = vector(seed, layers=sorted(layers), rank=rank, description=text)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "v.safetensors"
        one.save(path)
        again = load_vector(path)
    assert again.encode() == one.encode()
    assert again.digest == one.digest
    assert all(again.directions[layer].equal(d) for layer, d in one.directions.items())


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_writes_reads_and_writes_the_same_bytes(kind, tmp_path):
    """Promise 10, whatever the file holds; its header is read without its tensors."""
    one = of_kind(kind)
    one.save(tmp_path / "v.safetensors")
    again = load_vector(tmp_path / "v.safetensors")
    assert again.encode() == one.encode() == (tmp_path / "v.safetensors").read_bytes()
    assert again.digest == one.digest
    assert load_header(tmp_path / "v.safetensors") == one.header
    assert of_kind(kind, 1).digest != one.digest


def test_the_digest_names_what_the_vector_does():
    """When it was made and how it is described do not count; a direction, norm or name does."""
    base = vector()
    assert vector(created="2026", description="x", warnings=("w",)).digest == base.digest
    calibrated = vector(calibration=Calibration(layers=(1,), plus=0.7, minus=0.8))
    assert calibrated.digest != base.digest
    assert len({base.digest, vector(1).digest, vector(name="cold").digest, vector(layers=(1,)).digest}) == 4


def test_unreadable_files_say_what_they_are(tmp_path):
    """Not safetensors, no header, another format, unknown fields, foreign tensors."""
    path = tmp_path / "v.safetensors"
    path.write_bytes(b"torn")
    with pytest.raises(UnreadableVector, match="safetensors"):
        load_vector(path)
    save_file({"direction.1": torch.ones(8)}, path)
    with pytest.raises(UnreadableVector, match=KEY):
        load_vector(path)
    header = json.loads(msgspec.json.encode(vector().header))
    directions = {f"direction.{layer}": d for layer, d in vector().directions.items()}
    newer = {"format": "symposia.vector/9", "wings": 2}
    for change, text in (
        (newer, "expected format symposia.vector/1; got symposia.vector/9"),
        ({"wings": 2}, "wings"),
    ):
        save_file(directions, path, metadata={KEY: json.dumps({**header, **change})})
        with pytest.raises(UnreadableVector, match=text):
            load_vector(path)
    save_file({**directions, "extra": torch.ones(1)}, path, metadata={KEY: json.dumps(header)})
    with pytest.raises(UnreadableVector, match="extra"):
        load_vector(path)
    save_file({"direction.1": directions["direction.1"]}, path, metadata={KEY: json.dumps(header)})
    with pytest.raises(UnreadableVector, match="one direction for each"):
        load_vector(path)


@pytest.mark.parametrize(
    ("bad", "text"),
    [
        (torch.zeros(8), "unit length"),
        (torch.full((8,), float("nan")), "NaN"),
        (torch.ones(4) / 2, "width 8"),
        (torch.ones(8), "unit length"),
        (torch.ones(1, 8) / 8**0.5, "direction of width"),
    ],
)
def test_directions_no_model_could_be_steered_by_are_refused(bad, text):
    """Zero, NaN, another width, not unit, another rank; on writing as on reading."""
    header = vector(layers=(1,)).header
    with pytest.raises(UnreadableVector, match=text):
        SteeringVector(header, {1: bad})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 0.0, -1.0])
@pytest.mark.parametrize("field", ["fitted_norm", "reference_norm"])
def test_a_norm_that_is_none_is_refused(field, value):
    """Zero, negative, NaN and infinite norms, on writing; JSON has no NaN, so reading meets them as other types."""
    header = msgspec.structs.replace(vector(layers=(1,)).header, layers={"1": LayerNotes(**{field: value})})
    with pytest.raises(UnreadableVector, match=field):
        SteeringVector(header, vector(layers=(1,)).directions)


def test_a_statistic_that_is_not_finite_is_refused():
    """The field that holds it is named."""
    notes = LayerNotes(fitted_norm=1.0, projection=Spread(mean=float("nan"), sd=1.0))
    header = msgspec.structs.replace(vector(layers=(1,)).header, layers={"1": notes})
    with pytest.raises(UnreadableVector, match=r"projection\.mean"):
        SteeringVector(header, vector(layers=(1,)).directions)


@pytest.mark.parametrize(
    ("kind", "changed", "text"),
    [
        ("direction", {"probe__1__weight": torch.zeros(8)}, "weight is zero"),
        ("direction", {"probe__1__bias": None}, "probe.1.bias"),
        ("direction", {"probe__3__bias": torch.ones(1)}, "layer 3: expected a direction beside its probe"),
        ("direction", {"probe__1__weight": torch.ones(4)}, r"\[4\]"),
        ("means", {"mean__z__1": torch.full((12,), torch.inf)}, "infinity"),
        ("means", {"mean__nowhere__1": torch.ones(8)}, "mean.nowhere.1"),
        ("means", {"mean__z__1": torch.ones(2, 6)}, r"expected mean.z.1 \[X\]"),
        ("latent", {"encoder__3": torch.full((5, 8), torch.nan)}, "NaN"),
        ("latent", {"decoder__3": None}, "decoder.3"),
        ("latent", {"threshold__3": torch.ones(4)}, r"threshold.3': \[5\]"),
        ("latent", {"encoder__3": torch.ones(5, 9)}, r"\[5, 9\]"),
        ("latent", {"direction__3": torch.ones(8)}, "direction.3"),
    ],
)
def test_tensors_of_another_shape_or_kind_are_refused(kind, changed, text):
    """What was expected and what came, by the tensor's name."""
    with pytest.raises(UnreadableVector, match=text):
        of_kind(kind, **changed)


def test_a_plane_has_two_rows():
    """Three rows are a subspace."""
    with pytest.raises(UnreadableVector, match="expected a plane"):
        vector(rank=3, kind="plane")


def test_tensors_of_another_precision_are_refused(tmp_path):
    """Written again they would be other bytes."""
    one = vector(layers=(1,))
    header = {KEY: msgspec.json.encode(one.header).decode()}
    save_file({"direction.1": one.directions[1].half()}, tmp_path / "v.safetensors", metadata=header)
    with pytest.raises(UnreadableVector, match=r"torch\.float16"):
        load_vector(tmp_path / "v.safetensors")
