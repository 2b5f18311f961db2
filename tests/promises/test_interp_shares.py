"""Interp's promise 13: direct shares sum to the logit difference, on every family."""

from __future__ import annotations

import pytest
import torch

from symposia.core.capture import Capture
from symposia.core.errors import InvalidInput
from symposia.core.intervention import Add
from symposia.core.positions import everything
from symposia.interp import attribute
from symposia.interp.acts.record import NoActivation
from tests.reference.asking import answer, engine_of, request, talk
from tests.reference.families import FAMILIES, build, exact, relative_l2
from tests.reference.steering import random_vector

BAR = {"float64": 1e-6, "float32": 1e-4, "bfloat16": 2e-2}  # norms round to fp32 in fp64 models


def attributed(engine, a, b, **fields):
    asked = request(engine, talk(9), captures=attribute.captures(engine, everything()), **fields)
    done = answer(engine, asked)
    return [*done.prompt_token_ids, *done.token_ids], attribute.direct(
        engine.store.of(done.activations), engine, a, b
    )


def plain(family, dtype, ids, a, b):
    """Pre-softcap logit difference, and what each module adds, by plain hooks."""
    model = build(family, dtype)
    seen = {}

    def keep(name):
        return lambda _, args, out: seen.__setitem__(name, (args, out))

    handles = [
        model.lm_head.register_forward_hook(keep("head")),
        model.model.norm.register_forward_hook(keep("norm")),
    ]
    for i, block in enumerate(model.model.layers):
        handles.append(block.self_attn.o_proj.register_forward_hook(keep(f"z{i}")))
    try:
        with exact(model), torch.no_grad():
            model(input_ids=torch.tensor([ids]), attention_mask=torch.ones(1, len(ids)), use_cache=False)
    finally:
        for handle in handles:
            handle.remove()
    logits = seen["head"][1][0]
    return model, seen, logits[:, a] - logits[:, b]


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
@pytest.mark.parametrize("family", FAMILIES)
def test_shares_sum_to_the_logit_difference(family, dtype):
    """Embedding, heads, MLPs and biases, before the softcap, at every position."""
    with engine_of(family, dtype) as engine:
        done = answer(engine, request(engine, talk(9), captures=attribute.captures(engine, everything())))
        found = attribute.direct(engine.store.of(done.activations), engine, 11, 700)
        last = engine.store.at(next(ref for ref in done.activations if ref.site == "resid_post"))
    ids, shares, model = [*done.prompt_token_ids, *done.token_ids], found.shares, build(family, dtype)
    parts = shares.embedding_N + shares.mlp_NL.sum(1) + shares.attention_bias_NL.sum(1) + shares.bias_N
    parts = parts + sum(heads.sum(1) for heads in shares.heads)
    with torch.no_grad():
        logits = model.lm_head(model.model.norm(last)).double()
    assert len(found.tokens) == len(ids)
    assert relative_l2(parts.double(), logits[:, 11] - logits[:, 700]) <= BAR[dtype]
    if dtype != "bfloat16":
        assert relative_l2(parts.double(), plain(family, dtype, ids, 11, 700)[2].double()) <= BAR[dtype]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_head_has_the_share_that_its_own_output_has(family):
    """Head by head: the part of o_proj that reads it, through the norms' scales as they were, onto the two rows."""
    with engine_of(family) as engine:
        ids, found = attributed(engine, 11, 700)
    model, seen, _ = plain(family, "float64", ids, 11, 700)
    weight = model.lm_head.weight.detach()
    (h,), normed = seen["norm"]
    one = 1.0 if family.startswith("gemma") else 0.0
    final = (1.0 / (h[0].pow(2).mean(-1, keepdim=True) + model.config.rms_norm_eps).sqrt()) * (
        one + model.model.norm.weight.detach()
    )
    line = final * (weight[11] - weight[700])
    assert torch.allclose(normed[0], h[0] * final, rtol=1e-5)
    for layer, block in enumerate(model.model.layers):
        (z,), out = seen[f"z{layer}"]
        heads = len(found.shares.heads[layer][0])
        size = z.shape[-1] // heads
        for head in range(heads):
            part = slice(head * size, (head + 1) * size)
            own = z[0, :, part] @ block.self_attn.o_proj.weight.detach()[:, part].T
            if family in ("gemma2", "gemma3_text", "olmo2"):
                norm = block.post_attention_layernorm
                rms = (out[0].pow(2).mean(-1, keepdim=True) + model.config.rms_norm_eps).sqrt()
                own = own / rms * (one + norm.weight.detach())
            assert torch.allclose(
                found.shares.heads[layer][:, head], (own * line).sum(-1), rtol=1e-5, atol=1e-5
            )
    held = ["final norm", *(f"attention norm of layer {i}" for i in range(4))]
    assert found.held == tuple(held if family in ("gemma2", "gemma3_text", "olmo2") else held[:1])


def test_what_was_written_is_left_over():
    """An addition to the residual has a share of its own: what steering put along the line of the two tokens."""
    with engine_of("llama") as engine:
        vector = random_vector(engine, 1)
        edit = Add(vector=vector.digest, layers=(2,), where=everything(), scale=2.0)
        ids, found = attributed(engine, 11, 700, interventions=(edit,))
    model = build("llama")
    weight, gain = model.lm_head.weight.detach(), model.model.norm.weight.detach()
    total = found.shares.total_N - found.shares.left_over
    assert float(found.shares.left_over.abs().min()) > 0
    step = 2.0 * 5.0 * vector.units(2)[0].double() * gain @ (weight[11] - weight[700])
    scale = found.shares.left_over / step
    assert float(scale.min()) > 0  # one over the root mean square
    assert not torch.allclose(total, found.shares.total_N)
    assert len(ids) == len(found.tokens)


def test_what_is_missing_is_named():
    """Rows that were not captured, a text of several tokens, too few heads."""
    with engine_of("llama") as engine:
        done = answer(engine, request(engine, captures=(Capture(layers=(3,)),)))
        acts = engine.store.of(done.activations)
        with pytest.raises(NoActivation, match="z 0 at position"):
            attribute.direct(acts, engine, 1, 2)
        with pytest.raises(InvalidInput, match="expected one token"):
            attribute.direct(acts, engine, "two words", 2)
        few = tuple(
            Capture(site=c.site, layers=c.layers, heads=(0, 1)) if c.site == "z" else c
            for c in attribute.captures(engine)
        )
        done = answer(engine, request(engine, captures=few))
        with pytest.raises(InvalidInput, match="expected all 4 heads"):
            attribute.direct(engine.store.of(done.activations), engine, 1, 2)


def test_it_prints_its_largest_shares():
    """Names, numbers with a sign, and which scales were held."""
    with engine_of("gemma2") as engine:
        _, found = attributed(engine, " day", " town")
    told = str(found)
    assert told.startswith("logit(' day') - logit(' town') after")
    assert "held: final norm, attention norm of layer 0" in told
    first = next(iter(found.at(-1).items()))
    assert f"{first[1]:+8.3f}  {first[0]}" in told
    assert sum(found.at(-1).values()) == pytest.approx(float(found.shares.total_N[-1]))
