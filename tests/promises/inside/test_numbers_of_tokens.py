"""interlens: NaN entropies, log-probabilities of the warped distribution, inference-mode tensors."""

from __future__ import annotations

import pytest
import torch

from symposia.core.capture import Capture
from symposia.core.intervention import Add
from symposia.core.positions import everything
from symposia.core.profile import Sampling
from symposia.interp import lens
from tests.reference.asking import NO_CONTROL, answer, engine_of, request, talk
from tests.reference.families import build, plain_logits
from tests.reference.steering import random_vector

READ = (Capture(layers=(0, 1, 2, 3), where=everything()),)


def test_certainty_has_entropy_zero() -> None:
    """Residuals so large that all but one probability underflow to 0: entropy 0, KL finite, nothing is NaN."""
    with engine_of("qwen2", "float32") as engine:
        engine._model.parts.head.weight.data.mul_(1e4)
        try:
            vector = random_vector(engine, 1)
            edit = Add(vector=vector.digest, layers=(2,), scale=1e3, where=everything())
            done = answer(engine, request(engine, talk(9), captures=READ, interventions=(edit,), logprobs=2))
            acts = engine.store.of(done.activations)
            found, again = lens.logits(acts, engine), lens.reread(acts, engine)
        finally:
            engine._model.parts.head.weight.data.div_(1e4)
    for values in (found.entropy_LN, found.kl_LN, torch.tensor(again.columns["entropy"])):
        assert values.isfinite().all()
    assert float(found.entropy_LN[-1].min()) == 0.0
    assert all(0.0 <= x < 10.0 for x in lens.tokens(done).columns["entropy"])


def test_the_models_own_distribution_is_told() -> None:
    """Whatever the temperature, penalties and cuts that a token was sampled with."""
    warped = Sampling(temperature=0.3, top_k=3, repetition_penalty=1.5, max_tokens=12, logit_bias=NO_CONTROL)
    with engine_of("llama") as engine:
        done = answer(engine, request(engine, talk(9), sampling=warped, logprobs=0))
        found = lens.tokens(done)
    ids, n = [*done.prompt_token_ids, *done.token_ids], len(done.prompt_token_ids)
    logp = plain_logits(build("llama"), ids).log_softmax(-1)[n - 1 : -1]
    assert found.array("logprob") == pytest.approx(
        logp.gather(1, torch.tensor(done.token_ids)[:, None])[:, 0].tolist()
    )
    assert found.array("entropy") == pytest.approx((-(logp.exp() * logp).sum(-1)).tolist())


def test_a_probe_can_be_trained_on_captured_rows() -> None:
    """Rows are ordinary tensors: a gradient passes through whatever is computed of them."""
    with engine_of("llama", "float32") as engine:
        done = answer(engine, request(engine, talk(9), captures=READ))
        rows = engine.store.at(done.activations[0])
        readings = lens.logits(engine.store.of(done.activations), engine).entropy_LN
    probe = torch.nn.Linear(rows.shape[1], 1)
    probe(rows).sum().backward()
    assert probe.weight.grad is not None
    scale = torch.ones(1, requires_grad=True)
    (readings * scale).sum().backward()
    assert scale.grad is not None
