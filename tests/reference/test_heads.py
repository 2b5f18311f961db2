"""`z`: what each head hands to the output projection, read and written (interp promises 2 and 3)."""

from __future__ import annotations

import pytest
import torch

from symposia.core.capture import Capture, Pool, Project
from symposia.core.errors import InvalidIntervention, UnsupportedRequest
from symposia.core.intervention import Ablate, Add
from symposia.core.positions import everything
from tests.reference.asking import CONTROL, GREEDY, answer, engine_of, request, talk
from tests.reference.families import BARS, FAMILIES, WINDOW, build, exact, relative_l2
from tests.reference.steering import hooked, random_vector, selected

ALL = everything()
LOGITS = Capture(site="logits", where=ALL)


@torch.no_grad()
def plain_z(family, ids):
    """`[n, H, d]` by layer, by hooks on plain transformers."""
    model, seen = build(family), {}
    attentions = [block.self_attn for block in model.model.layers]
    handles = [
        a.o_proj.register_forward_pre_hook(lambda _, args, i=i: seen.__setitem__(i, args[0][0]))
        for i, a in enumerate(attentions)
    ]
    with exact(model):
        model(input_ids=torch.tensor([ids]), attention_mask=torch.ones(1, len(ids)), use_cache=False)
    for handle in handles:
        handle.remove()
    return {i: z.unflatten(1, (-1, attentions[i].head_dim)) for i, z in seen.items()}


@pytest.mark.parametrize("family", FAMILIES)
def test_z_is_what_enters_the_output_projection(family):
    """By head; `heads` gives those, in their order; prompts longer than the window included."""
    captures = (
        Capture(site="z", layers=(0, 1, 3), where=ALL),
        Capture(site="z", layers=(1,), where=ALL, heads=(3, 1)),
        Capture(site="z", layers=(1,), where=ALL, reduce=Pool("last"), dtype="float32"),
    )
    with engine_of(family, max_tokens=19) as engine:
        done = answer(engine, request(engine, talk(2 * WINDOW), sampling=GREEDY, captures=captures))
        *whole, some, pooled = [engine.store.at(ref) for ref in done.activations]
    expected = plain_z(family, [*done.prompt_token_ids, *done.token_ids])
    for got, layer in zip(whole, (0, 1, 3), strict=True):
        assert got.shape == expected[layer].shape
        assert relative_l2(got, expected[layer]) <= BARS["float64"]
    assert some.equal(whole[1][:, [3, 1]])
    assert pooled.shape[1:] == expected[1].shape[1:]


@pytest.mark.parametrize("family", FAMILIES)
def test_z_written_is_the_plain_hook_reference(family):
    """Adding to all heads, ablating within one: logits, tokens and receipts are the reference's."""
    with engine_of(family, max_tokens=40) as engine:
        spread = random_vector(engine, 1, site="z")
        edits = [
            (Add(vector=spread.digest, site="z", layers=(0, 2), unit="relative", scale=0.5), spread),
            (Ablate(vector=spread.digest, site="z", layers=(1, 3), where=ALL), spread),
            (Add(vector=spread.digest, site="z", layers=(1,), scale=2.0, where=ALL), spread),
        ]
        ask = request(
            engine,
            talk(2 * WINDOW),
            interventions=tuple(e for e, _ in edits),
            captures=(LOGITS,),
            sampling=GREEDY,
        )
        done = answer(engine, ask)
        got = engine.store.at(done.activations[0])
        ids = [*done.prompt_token_ids, *done.token_ids]
        reference, _ = hooked(build(family), ids, [(e, v, selected(engine, done, e)) for e, v in edits])
    assert relative_l2(got, reference) <= BARS["float64"]
    reference[:, CONTROL] = -torch.inf
    assert reference[len(done.prompt_token_ids) - 1 : -1].argmax(dim=-1).tolist() == list(done.token_ids)
    assert [r.status for r in done.receipts] == ["applied"] * 3


def test_a_vector_for_z_is_as_wide_as_all_heads():
    """Another width, a head that is not there, heads of a projection: refused before the first token."""
    with engine_of("qwen3") as engine:
        narrow, wide = random_vector(engine, 1), random_vector(engine, 2, site="z")
        with pytest.raises(InvalidIntervention, match=r"z 0 .* has 96 \(4 heads of 24, side by side\)"):
            answer(engine, request(engine, interventions=(Add(vector=narrow.digest, site="z"),)))
        with pytest.raises(InvalidIntervention, match=r"has width 96; resid_post 0 .* has 64"):
            answer(engine, request(engine, interventions=(Add(vector=wide.digest),)))
        with pytest.raises(InvalidIntervention, match=r"expected heads 0..3; got \[4\]"):
            answer(engine, request(engine, captures=(Capture(site="z", layers=(1,), heads=(0, 4)),)))
        project = Capture(site="z", layers=(1,), heads=(0,), reduce=Project(wide.digest))
        with pytest.raises(UnsupportedRequest, match="heads with project"):
            answer(engine, request(engine, captures=(project,)))


def test_projecting_z_is_a_float_per_token():
    """The readout is the flat row's product with the vector."""
    with engine_of("gemma2") as engine:
        wide = random_vector(engine, 2, site="z")
        captures = (
            Capture(site="z", layers=(1,), where=ALL, reduce=Project(wide.digest)),
            Capture(site="z", layers=(1,), where=ALL),
        )
        done = answer(engine, request(engine, captures=captures))
        rows = engine.store.at(done.activations[0])
    assert done.readouts[0].values == pytest.approx((rows.flatten(1) @ wide.directions[1].double()).tolist())
