"""The engine's tokens and logits are those of plain transformers."""

from __future__ import annotations

import copy

import msgspec
import pytest

from symposia.core.capture import Capture
from symposia.core.positions import everything
from symposia.core.profile import Sampling
from tests.reference.asking import CONTROL, GREEDY, answer, answers, engine_of, request, talk
from tests.reference.families import BARS, FAMILIES, WINDOW, build, plain_generate, plain_logits, relative_l2

PROMPTS = [2, 5, 7, 30, 11, 3, 60, 1, 19, 8, 45, 4, 26, 13, 9, 33, 6]


def sampling(n: int) -> Sampling:
    return msgspec.structs.replace(GREEDY, max_tokens=n, min_tokens=n)


@pytest.mark.parametrize("family", FAMILIES)
def test_greedy_tokens_alone_are_those_of_generate(family):
    """128 greedy tokens at batch 1, in fp32, far past the sliding window."""
    with engine_of(family, "float32") as engine:
        got = answer(engine, request(engine, talk(12), sampling=sampling(128)))
        [expected] = plain_generate(build(family, "float32"), [list(got.prompt_token_ids)], 128, CONTROL)
    assert list(got.token_ids) == expected


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("family", FAMILIES)
def test_seventeen_ragged_prompts_in_one_batch(family, dtype):
    """One continuous batch with chunked prefill gives each prompt what `generate` gives it."""
    with engine_of(family, dtype, max_tokens=48, max_rows=9) as engine:
        asks = [request(engine, talk(n, seed), sampling=sampling(20)) for seed, n in enumerate(PROMPTS)]
        got = answers(engine, asks)
        prompts = [list(c.prompt_token_ids) for c in got]
        expected = plain_generate(build(family, dtype), prompts, 20, CONTROL)
    assert [list(c.token_ids) for c in got] == expected


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("family", FAMILIES)
def test_logits_match_a_plain_forward(family, dtype):
    """Every position's logits, prefilled in chunks and decoded, on a prompt longer than the window."""
    with engine_of(family, dtype, max_tokens=17, block=4) as engine:
        capture = Capture(site="logits", where=everything())
        got = answer(engine, request(engine, talk(3 * WINDOW), sampling=sampling(8), captures=(capture,)))
        rows = engine.store.at(got.activations[0])
    ids = [*got.prompt_token_ids, *got.token_ids]
    expected = plain_logits(build(family, dtype), ids)
    assert len(got.prompt_token_ids) > WINDOW
    assert rows.shape == expected.shape
    assert relative_l2(rows, expected) <= BARS[dtype]


@pytest.mark.parametrize("family", FAMILIES)
def test_bfloat16_is_as_close_to_fp32_as_plain_bfloat16_is(family):
    """Rounding differs from kernel to kernel; its size does not."""
    with engine_of(family, "bfloat16", max_tokens=17) as engine:
        capture = Capture(site="logits", where=everything())
        done = answer(engine, request(engine, talk(2 * WINDOW), sampling=sampling(8), captures=(capture,)))
        rows = engine.store.at(done.activations[0])
    ids = [*done.prompt_token_ids, *done.token_ids]
    model = build(family, "bfloat16")
    exact_logits = plain_logits(copy.deepcopy(model).float(), ids)
    assert rows.dtype == plain_logits(model, ids).dtype
    assert relative_l2(rows, exact_logits) <= 1.5 * relative_l2(plain_logits(model, ids), exact_logits)
