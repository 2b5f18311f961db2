"""The same promises with each family's own tokenizer and template, and the whole backend protocol."""

from __future__ import annotations

from contextlib import contextmanager
from functools import cache

import msgspec
import pytest
import torch

from symposia.core.capture import Capture
from symposia.core.intervention import Add
from symposia.core.positions import everything
from symposia.core.profile import Sampling
from symposia.engine import Engine, EngineOptions
from symposia.engine.families import FAMILIES, family
from symposia.testing import check_backend
from tests.reference.asking import RUNNER, answer, answers, line, request, talk
from tests.reference.families import BARS, TINY, plain_generate, relative_l2
from tests.reference.steering import hooked, random_vector, selected


@cache
def model_of(name):
    return family(name).model(dtype=torch.float64)


@contextmanager
def seated(name):
    options = EngineOptions(kv_bytes=1 << 23, max_tokens=32, runner=RUNNER.get())
    with Engine.adopt(model_of(name), family(name).tokenizer, name, options=options) as engine:
        yield engine


def own_words(name):
    """Greedy, and no control tokens: random weights have no manners."""
    control = sorted({*family(name).tokenizer.added_tokens_decoder, *family(name).tokenizer.all_special_ids})
    return control, Sampling(temperature=0.0, max_tokens=24, logit_bias=tuple((i, -1e6) for i in control))


def assert_decoded(name, text, ids):
    """Broken UTF-8 (random byte tokens) may be spelled otherwise when it comes piece by piece."""
    expected = family(name).tokenizer.decode(ids, clean_up_tokenization_spaces=False)
    assert text == expected or "\ufffd" in expected


@pytest.mark.parametrize("name", FAMILIES)
async def test_the_engine_keeps_the_whole_backend_protocol(name):
    """Deltas then one completion, seeds, limits, cancelling, refusals, rendering."""
    with seated(name) as engine:
        await check_backend(engine, engine.address)


async def test_the_bundled_model_keeps_the_whole_backend_protocol():
    """Loaded like any other."""
    with Engine.load(str(TINY)) as engine:
        await check_backend(engine, engine.address)


@pytest.mark.parametrize("name", FAMILIES)
def test_greedy_and_steered_turns_on_the_familys_own_prompt(name):
    """Tokens are `generate`'s; text is the tokenizer's; a steered turn is the plain-hook reference's."""
    control, sampling = own_words(name)
    with seated(name) as engine:
        layers = range(engine.shape.layers)
        vector = random_vector(engine, 1, layers)
        edit = Add(vector=vector.digest, layers=(1,), scale=1.5)
        captures = (Capture(site="logits", where=everything()),)
        lines = (*talk(14), line("assistant", "so it is", "alice", 1), line("user", "and now", "bob", 2))
        ask = request(engine, lines, sampling=sampling, turn=3)
        clean, steered = answers(
            engine, [ask, msgspec.structs.replace(ask, interventions=(edit,), captures=captures)]
        )
        prompt = list(clean.prompt_token_ids)
        assert list(clean.token_ids) == plain_generate(model_of(name), [prompt], 24, control)[0]
        assert_decoded(name, clean.text, clean.token_ids)
        positions = selected(engine, steered, edit, turn=3)
        logits, _ = hooked(model_of(name), [*prompt, *steered.token_ids], [(edit, vector, positions)])
        assert relative_l2(engine.store.at(steered.activations[0]), logits) <= BARS["float64"]
        assert steered.receipts[0].tokens.history > 0


@pytest.mark.parametrize("name", FAMILIES)
def test_the_templates_end_of_turn_ends_the_turn(name):
    """Whatever a template writes after an assistant line is an end token, is markup, and is not text."""
    with seated(name) as engine:
        closing = engine.template.facts.marks.assistant_end
        end = family(name).tokenizer.encode(closing, add_special_tokens=False)[0]
        assert end in engine._model.ends
        sampling = Sampling(temperature=0.0, max_tokens=9, min_tokens=3, logit_bias=((end, 1e6),))
        done = answer(engine, request(engine, sampling=sampling))
        assert done.finish_reason == "stop"
        assert done.token_ids[3:] == (end,)
        assert done.spans[-1].phase == "markup"
        assert_decoded(name, done.text, done.token_ids[:3])
