"""Families with experts, on the modules' own forward: logits, steering, and `router` as the model chose."""

from __future__ import annotations

import pytest
import torch

from symposia.core.capture import Capture
from symposia.core.errors import SiteUnsupported
from symposia.core.intervention import Add
from symposia.core.positions import everything
from symposia.interp.check import ALL
from tests.reference.asking import GREEDY, answer, engine_of, request, talk
from tests.reference.families import BARS, EXPERTS, WINDOW, build, exact, relative_l2
from tests.reference.steering import hooked, random_vector, selected

WHERE = everything()
ROUTED = {"qwen3_moe": (0, 1, 3), "mixtral": (0, 1, 2, 3)}


@pytest.fixture(params=["hf"], autouse=True)
def runner(request):
    return request.param


@torch.no_grad()
def plain_routers(family, ids):
    """(logits, weights, ids) of each router, by hooks on plain transformers."""
    model, seen, handles = build(family), {}, []
    for i in ROUTED[family]:
        gate = model.model.layers[i].mlp.gate
        handles.append(gate.register_forward_hook(lambda _, __, out, i=i: seen.__setitem__(i, out)))
    with exact(model):
        model(input_ids=torch.tensor([ids]), attention_mask=torch.ones(1, len(ids)), use_cache=False)
    for handle in handles:
        handle.remove()
    return seen


@pytest.mark.parametrize("family", EXPERTS)
def test_the_router_is_what_the_model_chose(family):
    """Logits in expert order and the weights by expert, 0 for those not chosen; layers without experts have none."""
    with engine_of(family, max_tokens=19, runner="hf") as engine:
        assert engine.site_map.supported["router"] == ROUTED[family]
        assert {one.name for one in engine.checks if one.status == "passed"} == set(ALL)
        captures = (Capture(site="router", layers=ROUTED[family], where=WHERE),)
        done = answer(engine, request(engine, talk(2 * WINDOW), sampling=GREEDY, captures=captures))
        got = {ref.layer: engine.store.at(ref) for ref in done.activations}
        if family == "qwen3_moe":
            with pytest.raises(SiteUnsupported, match="router at layer 2"):
                answer(engine, request(engine, captures=(Capture(site="router", layers=(2,)),)))
    for layer, (logits, weights, ids) in plain_routers(
        family, [*done.prompt_token_ids, *done.token_ids]
    ).items():
        rows = got[layer]
        assert relative_l2(rows[:, 0], logits) <= BARS["float64"]
        assert (
            relative_l2(rows[:, 1].gather(1, ids), weights) <= 1e-6
        )  # some routers take their softmax in fp32
        assert ((rows[:, 1] != 0).sum(dim=1) == ids.shape[1]).all()


@pytest.mark.parametrize("family", EXPERTS)
def test_experts_are_steered_as_by_plain_hooks(family):
    """Residual and heads written; logits are the reference's, which took its softmax of routing in the same dtype."""
    with engine_of(family, max_tokens=40, runner="hf") as engine:
        residual, heads = random_vector(engine, 1), random_vector(engine, 2, site="z")
        edits = [
            (Add(vector=residual.digest, layers=(1,), scale=1.5), residual),
            (Add(vector=heads.digest, site="z", layers=(0, 3), scale=0.5, where=WHERE), heads),
        ]
        logits = Capture(site="logits", where=WHERE)
        asked = tuple(edit for edit, _ in edits)
        done = answer(
            engine,
            request(engine, talk(2 * WINDOW), interventions=asked, captures=(logits,), sampling=GREEDY),
        )
        got = engine.store.at(done.activations[0])
        ids = [*done.prompt_token_ids, *done.token_ids]
        expected, _ = hooked(build(family), ids, [(e, v, selected(engine, done, e)) for e, v in edits])
    assert relative_l2(got, expected) <= BARS["float64"]
