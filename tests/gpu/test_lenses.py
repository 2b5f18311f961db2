"""Lenses, attribution, patching and twins where the module lies on a GPU and the rows in memory."""

from __future__ import annotations

import asyncio

import pytest
import torch

from symposia.core.capture import Capture
from symposia.core.intervention import Add
from symposia.core.positions import everything
from symposia.interp import attribute, lens
from symposia.interp.patch import How, LogitDiff, Model, estimate, sweep, transplant
from symposia.interp.twin import twin
from tests.gpu.machine import engine_on, needs_gpu
from tests.reference.asking import answer, engine_of, line, request, talk
from tests.reference.steering import random_vector

pytestmark = [pytest.mark.gpu, needs_gpu]
CLEAN = (line("user", "the red fox ran over seven hills", "bob", 0),)
CORRUPT = (line("user", "the fox red ran over seven hills", "bob", 0),)
READ = Capture(layers=(0, 1, 2, 3), where=everything())


def looked(engine):
    """Every number, from the same requests."""
    model = Model(engine, engine.store, engine, library=engine.library)
    captures = (READ, *attribute.captures(engine, everything()))
    done = answer(engine, request(engine, CLEAN, captures=captures))
    acts = engine.store.of(done.activations)
    asked = request(engine, CLEAN), request(engine, CORRUPT)
    how, metric = How(rule="index", columns=((4,), (5, 6))), LogitDiff(" day", " town")
    fields = {"model": model, "layers": (0, 2), "sites": ("resid_post",), "how": how}
    exact = asyncio.run(sweep(*asked, metric, **fields))
    near = asyncio.run(estimate(*asked, metric, **fields))
    edits = asyncio.run(transplant(*asked, model=model, align="index"))
    vector = random_vector(engine, 1)
    steered = request(engine, talk(9), interventions=(Add(vector=vector.digest, layers=(1,), name="push"),))
    made = asyncio.run(twin(steered, answer(engine, steered), "push", model=model))
    return {
        "lens": lens.logits(acts, engine, tokens=(11,)).logprobs_LNW,
        "shares": attribute.direct(acts, engine, 11, 700).shares.mlp_NL,
        "exact": exact.values_SLC,
        "estimate": near.grid.values_SLC,
        "twin": torch.tensor(made.readings.columns["kl"]),
        "pairs": torch.tensor([edit.pairs for edit in edits], dtype=torch.float64),
    }


@pytest.mark.parametrize("family", ["llama", "gemma2", "qwen3_moe"])
def test_numbers_are_those_of_the_cpu(family):
    """fp32 on both, within what fp32 allows."""
    with engine_of(family, "float32") as cpu:
        expected = looked(cpu)
    with engine_on(family, "float32") as gpu:
        got = looked(gpu)
    for name, values in expected.items():
        assert torch.allclose(got[name].double().cpu(), values.double(), rtol=1e-2, atol=1e-2), name
