"""Log-probabilities of sampled tokens, prompts and given continuations are those of a plain forward."""

from __future__ import annotations

import msgspec
import pytest
import torch

from symposia.core.intervention import Add
from symposia.core.positions import speaking
from symposia.core.profile import Sampling
from tests.reference.asking import GREEDY, answer, answers, engine_of, request, talk
from tests.reference.families import build, plain_logits, tokenizer
from tests.reference.steering import hooked, random_vector

CHOICES = (" yes", " no, never", " it depends on the weather of the day")


def test_logprobs_are_of_the_models_own_distribution():
    """Chosen, top n and entropy do not know about temperature, penalties or bias."""
    bent = Sampling(
        temperature=1.7,
        top_k=9,
        repetition_penalty=1.3,
        frequency_penalty=0.5,
        logit_bias=((30, 4.0),),
        max_tokens=12,
        min_tokens=12,
    )
    with engine_of("qwen2") as engine:
        done = answer(engine, request(engine, sampling=bent, logprobs=3, seed=3))
    ids = [*done.prompt_token_ids, *done.token_ids]
    logp = plain_logits(build("qwen2"), ids).log_softmax(dim=-1)[len(done.prompt_token_ids) - 1 : -1]
    columns = done.logprobs
    assert columns.of == "model"
    assert columns.chosen == pytest.approx(
        [float(row[t]) for row, t in zip(logp, done.token_ids, strict=True)]
    )
    best = logp.topk(3)
    assert columns.top_ids == tuple(map(tuple, best.indices.tolist()))
    assert columns.top == tuple(pytest.approx(row) for row in best.values.tolist())
    assert columns.entropy == pytest.approx((-(logp.exp() * logp).sum(dim=1)).tolist())
    assert columns.tokens == tuple(tokenizer().decode([t]) for t in done.token_ids)


def test_entropy_of_a_certain_token_is_zero():
    """0·log 0 = 0; entropy is never NaN."""
    from symposia.engine.logprobs import Columns

    columns = Columns(1)
    columns.add(torch.tensor([0.0, -torch.inf, -1e9]), 0)
    assert columns.entropy == [0.0]


def test_a_read_scores_its_prompt():
    """`max_tokens=0` gives the prompt's log-probabilities from the second token on, whatever the cache holds."""
    with engine_of("gemma2", max_tokens=13, block=4) as engine:
        ask = request(engine, talk(40), sampling=Sampling(max_tokens=0), logprobs=0)
        first, second = answer(engine, ask), answer(engine, ask)
    ids = list(first.prompt_token_ids)
    logp = plain_logits(build("gemma2"), ids).log_softmax(dim=-1)
    expected = [float(logp[i, t]) for i, t in enumerate(ids[1:])]
    assert first.token_ids == ()
    assert first.text == ""
    assert first.logprobs.prompt == pytest.approx(expected)
    assert second.logprobs.prompt == pytest.approx(expected)


@pytest.mark.parametrize("steered", [False, True])
def test_choices_are_summed_logprobs_of_given_continuations(steered):
    """Also under steering, where a continuation counts as spoken."""
    with engine_of("llama", block=4) as engine:
        vector = random_vector(engine, 1)
        edits = (Add(vector=vector.digest, layers=(1,), scale=2.0, where=speaking()),) if steered else ()
        done = answer(engine, request(engine, talk(25), choices=CHOICES, interventions=edits))
    prompt = list(done.prompt_token_ids)
    for choice, total, n in zip(CHOICES, done.scores.logprobs, done.scores.tokens, strict=True):
        made = tokenizer().encode(choice, add_special_tokens=False)
        positions = list(range(len(prompt) - 1, len(prompt) + len(made)))
        edit = [(edits[0], vector, positions)] if steered else []
        logits, _ = hooked(build("llama"), prompt + made, edit)
        logp = logits.log_softmax(dim=-1)
        assert n == len(made)
        assert total == pytest.approx(sum(float(logp[len(prompt) - 1 + i, t]) for i, t in enumerate(made)))
    assert len(done.receipts) == (3 if steered else 0)


def test_choices_share_their_prompt():
    """The prompt of several continuations is computed once."""
    with engine_of("llama", block=4) as engine:
        forwarded = []
        runner = engine._model.runner
        plain = runner.forward

        def counting(batch, work):
            forwarded.append(len(batch.token_ids))
            return plain(batch, work)

        runner.forward = counting
        done = answer(engine, request(engine, talk(60), choices=CHOICES))
    n = len(done.prompt_token_ids)
    assert n <= sum(forwarded) < n + sum(done.scores.tokens) + 3 * 5


def test_top_p_one_candidate_is_greedy():
    """The tail is cut exactly: a nucleus or k of one token leaves nothing to chance."""
    with engine_of("llama") as engine:
        greedy = answer(engine, request(engine, sampling=GREEDY))
        warm = {"temperature": 1.0, "max_tokens": 16}
        cases = [Sampling(top_k=1, **warm), Sampling(top_p=1e-6, **warm), Sampling(min_p=0.999999, **warm)]
        asks = [request(engine, sampling=s, seed=i) for i, s in enumerate(cases)]
        for done in answers(engine, asks):
            assert done.token_ids == greedy.token_ids
        free = answer(engine, request(engine, sampling=msgspec.structs.replace(cases[0], top_k=0), seed=1))
        assert free.token_ids != greedy.token_ids
