"""The vector file: byte-identical round trips, digests that name what a vector does, refusals; and the library."""

from __future__ import annotations

import json

import msgspec
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from symposia.core.errors import UnknownName, VectorNotFound
from symposia.interp.library import Library
from symposia.interp.vector import (
    KEY,
    FittedOn,
    Header,
    LayerNotes,
    Spread,
    SteeringVector,
    UnreadableVector,
    load_vector,
)

MODEL = FittedOn(name="m", digest="sha256:1", type="llama", layers=4, width=8)


def vector(seed=0, name="warm", layers=(1, 2), rank=None, **fields):
    generator = torch.Generator().manual_seed(seed)
    shape = (8, rank or 1)
    rows = {layer: torch.linalg.qr(torch.randn(*shape, generator=generator)).Q.T for layer in layers}
    directions = rows if rank else {layer: row[0] for layer, row in rows.items()}
    notes = {str(layer): LayerNotes(fitted_norm=2.0, projection=Spread(mean=0.1, sd=1.0)) for layer in layers}
    header = Header(name=name, kind="subspace" if rank else "direction", model=MODEL, layers=notes, **fields)
    return SteeringVector(header, directions)


@given(
    st.integers(0, 50),
    st.sampled_from([None, 1, 3]),
    st.sets(st.integers(0, 3), min_size=1),
    st.text(max_size=8),
)
def test_write_read_write_is_byte_identical(seed, rank, layers, text):
    """Promise 10, for any header text and rank."""
    import tempfile
    from pathlib import Path

    one = vector(seed, layers=sorted(layers), rank=rank, description=text)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "v.safetensors"
        one.save(path)
        again = load_vector(path)
    assert again.encode() == one.encode()
    assert again.digest == one.digest
    assert all(again.directions[layer].equal(d) for layer, d in one.directions.items())


def test_the_digest_names_what_the_vector_does():
    """When it was made and how it is described do not count; a direction, norm or name does."""
    base = vector()
    assert vector(created="2026", description="x", warnings=("w",)).digest == base.digest
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
    for change, text in (({"format": "symposia.vector/9"}, "vector/9"), ({"wings": 2}, "wings")):
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


def test_a_library_finds_by_digest_or_name_and_takes_new_files(tmp_path):
    """Ambiguous names list both digests; a file that appears while in use is found."""
    library = Library([tmp_path])
    first, second = vector(0), vector(1)
    with pytest.raises(UnknownName):
        library.find("warm")
    first.save(tmp_path / "a.safetensors")
    assert library.find("warm").digest == first.digest
    library.add(second)
    assert library.find(second.digest) is second
    with pytest.raises(UnknownName, match=f"{first.digest}|{second.digest}"):
        library.find("warm")
    with pytest.raises(VectorNotFound, match="nothing-like-it"):
        library.require("nothing-like-it", "m")
    assert set(library.names()) == {first.digest, second.digest}
