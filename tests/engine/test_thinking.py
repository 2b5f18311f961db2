"""A thinking budget: the engine ends what a model would go on thinking, and nothing else changes."""

from __future__ import annotations

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from symposia.core.errors import UnsupportedRequest
from symposia.core.message import Reasoning
from symposia.core.parse import parse
from symposia.core.profile import Sampling
from symposia.engine import Engine, EngineOptions
from symposia.engine.families import chat_tokenizer, family
from symposia.engine.thinking import Allowance
from tests.engine.test_grammar import PLACE, VISIT
from tests.reference.asking import answer, answers, request, talk

BUDGET = 12
# The words each template ends thinking with, up to where the answer begins.
CLOSING = {
    "qwen3": "</think>",
    "r1": "</think>",
    "gpt-oss": "<|end|><|start|>assistant<|channel|>final<|message|>",
}


def thinker(template: str, dtype: str = "float64", **options: object) -> Engine:
    """Noise for weights behind a template that thinks."""
    import torch

    tokenizer = chat_tokenizer(template)
    none = {"bos_token_id": None, "pad_token_id": None, "eos_token_id": tokenizer.eos_token_id}
    model = family("llama").model(dtype=getattr(torch, dtype), vocab_size=len(tokenizer), **none)
    return Engine.adopt(model, tokenizer, template, options=EngineOptions(**{"kv_bytes": 1 << 25, **options}))


def thinking(engine: Engine, template: str, seed: int = 0, **fields: object):
    """A request whose reply thinks from its first token on, and does not end by itself."""
    controls = engine.template._codec.controls
    opened = {"qwen3": ("<think>",), "gpt-oss": ("<|channel|>",), "r1": ()}[template]
    against = tuple((c.id, -1e6) for text, c in controls.items() if text not in opened)
    sampling = Sampling(temperature=1.0, max_tokens=60, logit_bias=against, **fields)
    return request(engine, talk(6 + seed), sampling=sampling, seed=seed)


def test_reasoning_is_cut_at_the_budget_and_the_answer_goes_on():
    """The first tokens are those of free thinking; then come the closing words, and an answer follows."""
    with thinker("r1") as engine:
        free = answer(engine, thinking(engine, "r1"))
        cut = answer(engine, thinking(engine, "r1", thinking_budget=BUDGET))
    assert {span.phase for span in free.spans if span.generated} == {"reasoning"}
    assert cut.token_ids[:BUDGET] == free.token_ids[:BUDGET]
    assert cut.usage.reasoning_tokens == BUDGET
    assert cut.usage.output_tokens == len(cut.token_ids) == 60
    phases = [span.phase for span in cut.spans if span.generated for _ in range(len(span))]
    assert phases[:BUDGET] == ["reasoning"] * BUDGET
    assert phases[BUDGET] == "markup"
    assert "answer" in phases
    reasoning, text = parse(cut.text, opens_thinking=True)
    assert isinstance(reasoning, Reasoning)
    assert text.text.strip()


def test_a_budget_that_is_not_reached_changes_nothing():
    """The bundled model thinks a sentence; what it says is the same with a budget of more."""
    sampling = Sampling(temperature=1.0, max_tokens=120, thinking="on")
    with Engine.load("symposia:tiny", dtype="float64") as engine:
        free = answer(engine, request(engine, sampling=sampling, seed=1))
        assert 3 < free.usage.reasoning_tokens < 60
        wide = msgspec.structs.replace(sampling, thinking_budget=60)
        assert answer(engine, request(engine, sampling=wide, seed=1)).token_ids == free.token_ids
        tight = msgspec.structs.replace(sampling, thinking_budget=3)
        cut = answer(engine, request(engine, sampling=tight, seed=1))
    assert cut.token_ids[:3] == free.token_ids[:3]
    assert cut.usage.reasoning_tokens == 3
    assert cut.text.count("</think>") == 1


@pytest.mark.parametrize("template", CLOSING)
def test_each_template_ends_thinking_in_its_own_words(template):
    """A demanded call comes after them, within the budget, however the model would go on."""
    with thinker(template) as engine:
        marks = engine.template.facts.marks
        assert (
            engine.template._codec.decoded(engine.template.closing(engine.template.render(request(engine))))
            == CLOSING[template]
        )
        for fields in ({"force": VISIT}, {"schema": PLACE}):
            asks = [
                request(
                    engine,
                    sampling=Sampling(temperature=1.5, max_tokens=150, thinking_budget=BUDGET),
                    seed=seed,
                    **fields,
                )
                for seed in range(4)
            ]
            for done in answers(engine, asks):
                assert done.finish_reason in ("stop", "tool_calls")
                assert done.usage.reasoning_tokens <= BUDGET
                assert done.text.count(marks.think[1]) <= 1


def test_given_tokens_have_the_models_own_log_probability():
    """The column at the cut is the distribution there, of which the given token has what the model gives it."""
    with thinker("r1") as engine:
        size = engine.shape.vocabulary
        ask = msgspec.structs.replace(thinking(engine, "r1", thinking_budget=BUDGET), logprobs=size)
        done = answer(engine, ask)
        (close,) = engine.template.closing(engine.template.render(ask))
    columns = done.logprobs
    assert done.token_ids[BUDGET] == close
    assert len(columns.chosen) == len(done.token_ids)
    row = dict(zip(columns.top_ids[BUDGET], columns.top[BUDGET], strict=True))
    assert columns.chosen[BUDGET] == row[close]
    assert math.isclose(sum(map(math.exp, row.values())), 1.0, rel_tol=1e-9)


def test_the_cut_does_not_depend_on_the_batch_nor_on_preemption():
    """Budgets of every length side by side, alone, and crowded out: the same tokens (fp64)."""
    with thinker("r1") as engine:
        asks = [thinking(engine, "r1", seed=i, thinking_budget=1 + 3 * i) for i in range(10)]
        alone = [answer(engine, ask).token_ids for ask in asks]
        assert [done.token_ids for done in answers(engine, asks)] == alone
    with thinker("r1", kv_bytes=500_000) as engine:
        asks = [msgspec.structs.replace(ask, model=engine.address) for ask in asks]
        assert [done.token_ids for done in answers(engine, asks)] == alone
        assert engine.gauges.preempted > 0


def test_a_template_without_thinking_refuses_a_budget():
    """By name, with the way out."""
    with thinker("qwen2.5") as engine, pytest.raises(UnsupportedRequest, match="thinking_budget"):
        answer(engine, request(engine, sampling=Sampling(thinking_budget=9)))


@given(st.integers(1, 9), st.lists(st.sampled_from(("reasoning", "markup", "answer")), max_size=40))
def test_never_more_than_the_budget_is_free_reasoning(budget, phases):
    """Whatever phases come: free reasoning tokens stay within the budget, and a closing is given whole."""
    allowance, free, given_ids = Allowance(budget, (7, 8)), 0, []
    for following in phases:
        token = allowance.given(following)
        if token is None:
            assert len(given_ids) % 2 == 0
            free += following == "reasoning"
        else:
            given_ids.append(token)
        allowance.take(following)
    assert free <= budget
    assert given_ids == [7, 8] * (len(given_ids) // 2) + [7] * (len(given_ids) % 2)
