"""Replies are read again only where the template shows them as they were made; nothing is compared across contexts."""

from __future__ import annotations

import asyncio
import copy
from contextlib import contextmanager

import pytest

from symposia.core.capture import Capture, Project
from symposia.core.intervention import Add
from symposia.core.positions import Positions, Where, answer
from symposia.core.profile import Sampling
from symposia.engine import Engine, EngineOptions
from symposia.interp.calibrate import CalibrationFailed, calibrate
from symposia.interp.metric import Model
from symposia.interp.reread import aloud, reread
from tests.interp.test_calibrate import prompts
from tests.reference.asking import NO_CONTROL, request
from tests.reference.families import build, tokenizer
from tests.reference.steering import random_vector

PLAIN = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\nOPENING{% endif %}"
)
# as of Qwen3: an empty thought before a reply when thinking is off, and before the last reply when it is shown again
THINKING = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.role == 'assistant' and loop.last %}<think>\n\n</think>\n\n{% endif %}"
    "{{ m.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)
SAMPLING = Sampling(temperature=1.0, max_tokens=8, logit_bias=NO_CONTROL)


@contextmanager
def model_with(template: str):
    words = copy.deepcopy(tokenizer())
    words.chat_template = template
    with Engine.adopt(build("llama"), words, "told", options=EngineOptions(kv_bytes=1 << 24)) as engine:
        yield engine, Model(engine, engine.store, engine, library=engine.library)


def read(engine, model, **fields):
    ask = request(engine, **{"sampling": SAMPLING, **fields})
    return asyncio.run(reread(model, ask, ask.lines))


def test_a_template_that_shows_replies_as_they_are():
    """Every token has its numbers, and the words their readings."""
    with model_with(PLAIN.replace("OPENING", "")) as (engine, model):
        vector = random_vector(engine, 1)
        free = engine.store.free
        ask = request(engine, sampling=SAMPLING)
        reading = Capture(layers=(2,), where=answer(), reduce=Project(vector.digest))
        found = asyncio.run(reread(model, ask, ask.lines, readings=(reading,)))
        assert engine.store.free == free
    assert len(found.nats) == len(found.kl) == len(found.completion.token_ids)
    assert [len(r.values) for r in found.readouts] == [len(found.completion.token_ids)]


def test_a_template_that_shows_a_reply_otherwise_leaves_it_unread():
    """An opening that is not shown again: no numbers, no row left in the store; a calibration says why it failed."""
    with model_with(PLAIN.replace("OPENING", "Well:")) as (engine, model):
        free = engine.store.free
        found = read(engine, model)
        assert found.completion.text
        assert (found.nats, found.kl, found.readouts) == ((), (), ())
        assert engine.store.free == free
        vector = random_vector(engine, 1)
        with pytest.raises(CalibrationFailed, match="0 of 64 replies can be shown to the model again"):
            asyncio.run(calibrate(vector, (1,), prompts(), model=model, tokens=2))


def test_thinking_is_switched_off_where_it_can_be():
    """With the empty thought that the template then writes, the reply is shown again as it was made."""
    with model_with(THINKING) as (engine, model):
        quiet = asyncio.run(aloud(model, SAMPLING))
        assert quiet.thinking == "off"
        assert asyncio.run(aloud(model, quiet)) == quiet
        found = read(engine, model, sampling=quiet)
        assert len(found.kl) == len(found.completion.token_ids) > 0
        assert "<think>" in asyncio.run(engine.render(request(engine, sampling=quiet))).text
    with model_with(PLAIN.replace("OPENING", "")) as (_, model):
        assert asyncio.run(aloud(model, SAMPLING)) == SAMPLING


def test_a_push_that_met_nothing_is_still_read():
    """A selection that was missed leaves its completion: KL is zero, and the receipt says missed."""
    nowhere = Positions(any=(Where(phases=("tool",), made="generated"),))
    with model_with(PLAIN.replace("OPENING", "")) as (engine, model):
        vector = random_vector(engine, 1)
        found = read(engine, model, interventions=(Add(vector=vector.digest, layers=(1,), where=nowhere),))
    assert [receipt.status for receipt in found.completion.receipts] == ["missed"]
    assert max(found.kl) < 1e-9
