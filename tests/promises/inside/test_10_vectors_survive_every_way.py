"""Promise 10: a vector written, read and written again is the same file; by way of gguf it steers the same."""

from __future__ import annotations

import asyncio

import pytest
import torch

from symposia.core.capture import Capture
from symposia.core.intervention import Add
from symposia.interp.fit import fit
from symposia.interp.formats.convert import export_vector, import_vector
from symposia.interp.formats.foreign import Asked
from symposia.interp.methods import DiffMean, Logistic, Pca
from symposia.interp.vector import SteeringVector, load_vector
from tests.interp.test_fit import pairs
from tests.reference.asking import answer, engine_of, request


def fitted(engine, method) -> SteeringVector:
    made = asyncio.run(fit(pairs(), method, backend=engine, inside=engine, store=engine.store, name="warmth"))
    return made.vector


@pytest.mark.parametrize("method", [DiffMean(), Pca(centre=True), Logistic()], ids=str)
def test_write_read_write_is_byte_identical(tmp_path, method):
    """Of vectors as they are fitted, with all their notes."""
    with engine_of("gemma2", "float32") as engine:
        made = fitted(engine, method)
    made.save(tmp_path / "a.safetensors")
    load_vector(tmp_path / "a.safetensors").save(tmp_path / "b.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    assert load_vector(tmp_path / "b.safetensors").digest == made.digest


@pytest.mark.parametrize("ending", ["v.gguf", "v.pt"])
@pytest.mark.parametrize("family", ["qwen2", "olmo2"])
def test_by_way_of_another_tool_it_steers_the_same(tmp_path, family, ending):
    """Out and in again for its model: the same change at the same tokens, to 1e-6 of its size, and the same text."""
    with engine_of(family) as engine:
        made = fitted(engine, DiffMean())
        export_vector(made, tmp_path / ending)
        said = Asked(convention=None if ending == "v.gguf" else "block_output", shape=engine.shape)
        back = import_vector(tmp_path / ending, said)
        done = []
        for one in (made, back):
            engine.library.add(one)
            edit = Add(vector=one.digest, scale=2.0, layers=(1, 3))
            capture = Capture(layers=(3,), dtype="model")
            done.append(answer(engine, request(engine, interventions=(edit,), captures=(capture,))))
        rows = [engine.store.at(each.activations[0]) for each in done]
    first, second = (each.receipts[0].layers[0] for each in done)
    assert second.tokens == first.tokens > 0
    assert second.delta_mean == pytest.approx(first.delta_mean, rel=1e-6)
    assert done[1].token_ids == done[0].token_ids
    assert torch.allclose(rows[0], rows[1], rtol=1e-5, atol=1e-5)
