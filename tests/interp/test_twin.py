"""Twins: the run without one intervention, and how strongly it pushed each token."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
import torch

from symposia.core.capture import Capture
from symposia.core.errors import InvalidInput, UnknownName
from symposia.core.intervention import Ablate, Add, Gate, Schedule
from symposia.core.positions import everything, prompt, spoken
from symposia.core.profile import Sampling
from symposia.interp.patch import Model
from symposia.interp.twin import twin
from tests.reference.asking import NO_CONTROL, answer, continued, engine_of, request, talk
from tests.reference.families import build, relative_l2
from tests.reference.steering import hooked, random_vector, selected

HOT = Sampling(temperature=1.0, max_tokens=12, logit_bias=NO_CONTROL)


def twins(engine, ask, without):
    done = answer(engine, ask)
    return done, asyncio.run(twin(ask, done, without, model=Model(engine, engine.store, engine)))


def edits_of(engine):
    a, b = random_vector(engine, 1), random_vector(engine, 2)
    fading = Schedule(by="token", points=((0, 1.0), (6, 0.2)))
    gate = Gate(vector=b.digest, layer=0, over=prompt(), threshold=-1e9)
    return (
        Add(vector=a.digest, layers=(2,), scale=3.0, where=spoken(), schedule=fading, name="push"),
        Ablate(vector=b.digest, layers=(1, 3), name="forget", gate=gate),
    ), (a, b)


@pytest.mark.parametrize("family", ["llama", "gemma2", "qwen3_moe"])
def test_per_token_divergence_is_that_of_plain_hooks(family):
    """Along the steered text: distributions with and without the intervention, its schedule and the others kept."""
    with engine_of(family) as engine:
        edits, (a, b) = edits_of(engine)
        ask = request(engine, talk(9), sampling=HOT, seed=3, interventions=edits)
        done, found = twins(engine, ask, "push")
        other = answer(engine, request(engine, talk(9), sampling=HOT, seed=3, interventions=edits[1:]))
        where = [selected(engine, done, edit) for edit in edits]
        free = engine.store.free
        twins(engine, ask, 0)
        assert engine.store.free == free
    assert found.texts == (done.text, other.text)
    assert found.without.token_ids == other.token_ids
    first = next(i for i, (x, y) in enumerate(zip(done.token_ids, other.token_ids, strict=False)) if x != y)
    assert found.diverges == first
    ids, n = [*done.prompt_token_ids, *done.token_ids], len(done.prompt_token_ids)
    fades = {p: max(0.2, 1.0 - 0.8 * (p - n + 1) / 6) for p in where[0]}
    steps = [(edits[0], a, fades), (edits[1], b, where[1])]
    with_it, without = (
        hooked(build(family), ids, s)[0][n - 1 : -1].log_softmax(-1) for s in (steps, steps[1:])
    )
    kl = (with_it.exp() * (with_it - without)).sum(-1)
    assert torch.allclose(torch.tensor(found.readings.columns["kl"]).double(), kl, atol=1e-7)
    chosen = with_it.gather(1, torch.tensor(done.token_ids)[:, None])[:, 0]
    assert found.readings.array("logprob") == pytest.approx(chosen.tolist(), abs=1e-6)
    assert float(kl[0]) == pytest.approx(0.0, abs=1e-9)  # the first token was made before anything was pushed
    assert float(kl[2:].min()) > 1e-4
    assert f"they part at token {first}" in str(found)


def test_an_intervention_that_did_nothing_has_an_equal_twin():
    """Scale 0: the same words, KL 0 at every token; also in a later turn, with history."""
    with engine_of("qwen2") as engine:
        a = random_vector(engine, 1)
        nothing = Add(vector=a.digest, layers=(2,), scale=0.0, name="nothing")
        real = Add(vector=a.digest, layers=(1,), scale=2.0, name="real", where=everything())
        ask = request(engine, talk(9), sampling=HOT, interventions=(real, nothing))
        ask = continued(ask, answer(engine, ask), "and then")
        done, found = twins(engine, ask, "nothing")
        assert found.diverges is None
        assert found.texts[0] == found.texts[1] == done.text
        assert max(found.readings.columns["kl"]) < 1e-12
        _, found = twins(engine, ask, "real")
        assert min(found.readings.columns["kl"]) > 1e-6


def test_what_cannot_be_taken_away_is_refused():
    """Names and indexes that are not there, a completion of another request; one name takes all that share it."""
    with engine_of("llama") as engine:
        a = random_vector(engine, 1)
        edits = tuple(Add(vector=a.digest, layers=(i,), name="same") for i in (1, 2))
        ask = request(engine, talk(9), interventions=edits)
        _, found = twins(engine, ask, "same")
        assert found.without.token_ids == answer(engine, request(engine, talk(9))).token_ids
        with pytest.raises(UnknownName, match="other"):
            twins(engine, ask, "other")
        with pytest.raises(InvalidInput, match=r"expected 0\.\.1"):
            twins(engine, ask, 2)
        bare = answer(engine, request(engine, talk(9)))
        with pytest.raises(InvalidInput, match="2 receipts"):
            asyncio.run(twin(ask, bare, 0, model=Model(engine, engine.store, engine)))


def test_whatever_a_turn_holds_is_made_again_token_by_token():
    """Thinking, control tokens, a stop string's cut: the same ids, spans and states; sampled ones are not looked at."""
    wild = Sampling(temperature=1.5, max_tokens=40, stop=("e",), min_tokens=6)
    with engine_of("llama", block=4) as engine:
        read = (Capture(layers=(1, 3), where=everything()),)
        for seed in range(4):
            ask = request(engine, talk(9), sampling=wild, seed=seed, captures=read)
            done = answer(engine, ask)
            other = msgspec.structs.replace(ask, seed=99)
            again = asyncio.run(engine.replay(other, done.token_ids))
            assert again.token_ids == done.token_ids
            assert again.spans == done.spans
            for a, b in zip(done.activations, again.activations, strict=True):
                assert relative_l2(engine.store.at(a), engine.store.at(b)) <= 1e-10
        with pytest.raises(InvalidInput, match="token ids"):
            asyncio.run(engine.replay(ask, ()))
        with pytest.raises(InvalidInput, match="token ids"):
            asyncio.run(engine.replay(ask, (10**6,)))
        with pytest.raises(InvalidInput, match="samples"):
            asyncio.run(engine.replay(request(engine, sampling=Sampling(max_tokens=0)), (5,)))
