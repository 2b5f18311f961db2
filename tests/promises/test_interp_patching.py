"""Interp's promise 13 on every family: a whole layer from the clean run restores exactly 1, from itself nothing."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
import torch

from symposia.core.capture import Capture
from symposia.core.intervention import Replace
from symposia.core.positions import everything
from symposia.core.profile import Sampling
from symposia.interp.patch import How, LogitDiff, Model, sweep
from tests.reference.asking import answer, engine_of, line, request
from tests.reference.families import FAMILIES

CLEAN = (line("user", "the red fox ran over seven hills", "bob", 0),)
CORRUPT = (line("user", "the fox red ran over seven hills", "bob", 0),)
LOGITS = Capture(site="logits", where=everything())


@pytest.mark.parametrize("family", FAMILIES)
def test_a_whole_layer_restores_exactly_one(family: str) -> None:
    """All positions of a layer at once, by logits; one position of it does not."""
    with engine_of(family) as engine:
        asked = request(engine, CLEAN), request(engine, CORRUPT)
        n = len(answer(engine, asked[0]).prompt_token_ids)
        how = How(rule="index", columns=(tuple(range(n)), (5,)))
        model = Model(engine, engine.store)
        grid = asyncio.run(sweep(*asked, LogitDiff(" day", " town"), model=model, layers=(0, 2, 3), how=how))
    whole, one = grid.values_SLC[0].T
    assert torch.allclose(whole, torch.ones(3, dtype=torch.float64), atol=1e-9)
    assert float((one - 1).abs().min()) > 1e-6


@pytest.mark.parametrize("site", ["resid_post", "z", "k", "v", "mlp_out"])
@pytest.mark.parametrize("family", FAMILIES)
def test_from_itself_nothing_changes(family: str, site: str) -> None:
    """The very rows that were there, whole or head by head: not a bit of the logits moves.

    A forward past `k` and `v` may go another way than one that does not look at them, so both look.
    """
    with engine_of(family, "float32", reuse=False) as engine:
        own = Capture(site=site, layers=(1,), where=everything())
        reading = request(engine, CLEAN, sampling=Sampling(max_tokens=0), captures=(LOGITS, own))
        source = answer(engine, reading)
        rows, ref = engine.store.at(source.activations[0]), source.activations[1]
        pairs = tuple((p, p) for p in range(len(source.prompt_token_ids)))
        edits = [Replace(source=ref, site=site, pairs=pairs)]
        if site in ("z", "k", "v"):
            edits.append(Replace(source=ref, site=site, pairs=pairs, heads=(1,)))
        for edit in edits:
            done = answer(engine, msgspec.structs.replace(reading, interventions=(edit,)))
            assert engine.store.at(done.activations[0]).equal(rows)
            assert done.receipts[0].status == "applied"
