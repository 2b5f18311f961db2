"""Attribution patching: against finite differences of plain forwards, on every family."""

from __future__ import annotations

import asyncio

import pytest
import torch

from symposia.core.capture import Capture
from symposia.core.errors import InvalidInput, UnsupportedRequest
from symposia.core.intervention import Add, Replace
from symposia.core.positions import everything
from symposia.core.profile import Sampling
from symposia.interp.patch import How, KlToClean, LogitDiff, Logprob, Model, ReadoutOf, estimate
from tests.reference.asking import answer, engine_of, line, request
from tests.reference.families import FAMILIES, build
from tests.reference.steering import hooked, random_vector

CLEAN = (line("user", "the red fox ran over seven hills", "bob", 0),)
CORRUPT = (line("user", "the fox red ran over seven hills", "bob", 0),)
STEPS = (
    2e-2,
    5e-3,
    1e-3,
)  # norms round to fp32 even in fp64 models, experts change with large steps: one will do


def estimated(engine, metric, clean=CLEAN, corrupt=CORRUPT, **fields):
    model = Model(engine, engine.store, engine, library=engine.library)
    asked = request(engine, clean), request(engine, corrupt)
    return asyncio.run(estimate(*asked, metric, model=model, **fields))


def rows_of(engine, lines, site, layers):
    capture = Capture(site=site, layers=layers, where=everything())
    done = answer(engine, request(engine, lines, sampling=Sampling(max_tokens=0), captures=(capture,)))
    return done, {ref.layer: (ref, engine.store.at(ref)) for ref in done.activations}


@pytest.mark.parametrize("site", ["resid_pre", "resid_post", "z"])
@pytest.mark.parametrize("family", FAMILIES)
def test_an_estimate_is_the_slope_towards_the_clean_row(family, site):
    """By plain hooks, central differences along h_clean - h, of continuations of one and of several tokens."""
    ending = " day by day"
    columns, layers = ((5,), (4, 6)), (0, 2)
    with engine_of(family) as engine:
        found = estimated(
            engine,
            LogitDiff(ending, " town"),
            layers=layers,
            sites=(site,),
            how=How(rule="index", columns=columns),
        )
        _, rows = rows_of(engine, CLEAN, site, layers)
        prompt = list(answer(engine, request(engine, CORRUPT)).prompt_token_ids)
        long, short = engine.tokens_of(ending), engine.tokens_of(" town")
    assert len(long) > 1

    def metric(edits):
        total = 0.0
        for sign, ids in ((1, long), (-1, short)):
            logp = hooked(build(family), [*prompt, *ids], edits)[0].log_softmax(-1)
            total += sign * sum(float(logp[len(prompt) - 1 + i, token]) for i, token in enumerate(ids))
        return total

    grid = found.grid
    for cell, value in zip(grid.cells, grid.values_SLCH.flatten().tolist(), strict=True):
        ref, source = rows[cell.layer]
        pairs = tuple((p, p) for p in columns[cell.column])
        edit = Replace(source=ref, site=site, pairs=pairs, layers=(cell.layer,))
        got = value * (grid.clean - grid.corrupt)
        for eps in STEPS:
            around = (-2 * eps, -eps, eps, 2 * eps)
            a, b, c, d = (metric([(edit, None, {p: e for p, _ in pairs}, source)]) for e in around)
            slope = (a - 8 * b + 8 * c - d) / (12 * eps)
            if got == pytest.approx(slope, rel=2e-3, abs=2e-4):
                break
        else:
            pytest.fail(f"{cell}: estimated {got}, slope {slope}")


@pytest.mark.parametrize("mode", ["restore", "break"])
def test_its_worth_is_measured(mode):
    """Twenty cells are run exactly, of whatever metric; their correlation with the estimates is told."""
    with engine_of("llama") as engine:
        vector = random_vector(engine, 1)
        for metric in (Logprob(" day"), KlToClean(), ReadoutOf(vector.digest, 3)):
            found = estimated(engine, metric, layers=(0, 1, 2, 3), how=How(mode, "index"))
            assert len(found.checked) == 20
            place = dict(zip(found.grid.cells, found.grid.values_SLCH.flatten().tolist(), strict=True))
            assert all(value == place[cell] for cell, value, _ in found.checked)
            pairs = torch.tensor([[a, b] for _, a, b in found.checked], dtype=torch.float64).T
            assert found.correlation == pytest.approx(float(torch.corrcoef(pairs)[0, 1]))
            assert "correlation with 20 exact cells" in str(found)
        assert found.correlation > 0.5  # a projection is linear in the layer it is read at


def test_heads_add_up_to_their_row():
    """The slope is linear: all heads' estimates together are the row's."""
    with engine_of("qwen2") as engine:
        by_head, whole = (
            estimated(
                engine, Logprob(" day"), layers=(0, 1), sites=("z",), how=How(rule="index", heads=heads)
            )
            for heads in ((3, 1, 0, 2), ())
        )
    parts = by_head.grid.values_SLCH.sum(-1)
    assert torch.allclose(parts, whole.grid.values_SLC, atol=1e-6)
    assert by_head.grid.heads == (3, 1, 0, 2)
    for layer, column in ((0, 2), (1, 4)):
        assert len(set(by_head.grid.values_SLCH[0, layer, column].tolist())) == 4


def test_what_it_cannot_do_is_refused():
    """Steered requests, sites that no module boundary shows, a model without its inside."""
    with engine_of("llama") as engine:
        vector = random_vector(engine, 1)
        steer = Add(vector=vector.digest, layers=(1,))
        model = Model(engine, engine.store, engine)
        asked = request(engine, CLEAN, interventions=(steer,)), request(engine, CORRUPT)
        with pytest.raises(UnsupportedRequest, match="which runs every cell"):
            asyncio.run(estimate(*asked, Logprob(" day"), model=model, layers=(1,)))
        with pytest.raises(UnsupportedRequest, match="site q"):
            estimated(engine, Logprob(" day"), layers=(1,), sites=("q",))
        bare = Model(engine, engine.store)
        with pytest.raises(InvalidInput, match="inside=engine"):
            asyncio.run(estimate(asked[1], asked[1], Logprob(" day"), model=bare, layers=(1,)))


def test_the_module_comes_back_as_it_was():
    """Attention, hooks and gradients of the lent module: nothing stays."""
    with engine_of("gemma2") as engine:
        before = answer(engine, request(engine, CORRUPT)).token_ids
        model = build("gemma2")

        def hooks():  # transformers leaves its own on a module that was once asked for its hidden states
            return [(*m._forward_hooks.values(), *m._forward_pre_hooks.values()) for m in model.modules()]

        was, hooked = model.config._attn_implementation, hooks()
        estimated(engine, Logprob(" day"), layers=(0, 1))
        assert model.config._attn_implementation == was
        assert hooks() == hooked
        assert all(p.grad is None for p in model.parameters())
        assert answer(engine, request(engine, CORRUPT)).token_ids == before
