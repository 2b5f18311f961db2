"""Calibration: each number by a second implementation, both sides, the file it makes, and what is refused."""

from __future__ import annotations

import asyncio
import math

import msgspec
import numpy as np
import pytest
import torch

from symposia.core.errors import InvalidInput, InvalidIntervention, UnsupportedRequest
from symposia.core.intervention import Add
from symposia.core.profile import Sampling
from symposia.interp.calibrate import CalibrationFailed, calibrate
from symposia.interp.contrast import READER, lines_of
from symposia.interp.metric import Model
from symposia.interp.prompts import Prompt, load_prompts, load_questions
from symposia.interp.reread import moved, reread
from symposia.interp.vector import SteeringVector, load_vector
from tests.reference.asking import NO_CONTROL, WORDS, answer, engine_of, request
from tests.reference.families import build
from tests.reference.steering import hooked, random_vector, selected

LAYERS = (1, 2)


def model_of(engine):
    return Model(engine, engine.store, engine, library=engine.library)


def prompts(n=64):
    texts = [" ".join(WORDS[(i * 7 + j * (i + 1)) % len(WORDS)] for j in range(3 + i % 4)) for i in range(n)]
    return tuple(Prompt(id=str(i), lines=lines_of([("user", f"{text} {i}")])) for i, text in enumerate(texts))


def rereads(engine, asks):
    async def all_of():
        model = model_of(engine)
        return await asyncio.gather(*(reread(model, ask, ask.lines) for ask in asks))

    return asyncio.run(all_of())


def calibrated(engine, vector, **fields):
    given = {"layers": LAYERS, "prompts": prompts(), "tokens": 4, **fields}
    layers, asked = given.pop("layers"), given.pop("prompts")
    return asyncio.run(calibrate(vector, layers, asked, model=model_of(engine), **given))


@pytest.mark.parametrize("family", ["qwen2", "gemma2"])
def test_a_reread_is_two_forwards_compared(family):
    """Token by token, the steered logits by plain hooks and the clean ones: surprisal and KL, the end included."""
    with engine_of(family) as engine:
        vector = random_vector(engine, 3, LAYERS)
        edit = Add(vector=vector.digest, layers=LAYERS, scale=0.8)
        sampling = Sampling(temperature=1.0, max_tokens=12, logit_bias=NO_CONTROL)
        ask = request(engine, sampling=sampling, interventions=(edit,), seed=5)
        free = engine.store.free
        found = asyncio.run(reread(model_of(engine), ask, ask.lines))
        assert engine.store.free == free
        done = found.completion
        assert done.token_ids == answer(engine, ask).token_ids
        positions = selected(engine, done, edit)
    ids = [*done.prompt_token_ids, *done.token_ids]
    steered, _ = hooked(build(family), ids, [(edit, vector, positions)])
    clean, _ = hooked(build(family), ids, [])
    first = len(done.prompt_token_ids) - 1
    p, q = (logits[first:-1].log_softmax(dim=-1) for logits in (steered, clean))
    expected = (p.exp() * (p - q)).sum(dim=-1)
    assert found.kl == pytest.approx(expected.tolist(), abs=1e-9)
    assert max(found.kl) > 1e-3
    assert found.nats == pytest.approx([-float(q[i, t]) for i, t in enumerate(done.token_ids)], abs=1e-9)


def test_a_reply_of_nothing_is_read_where_it_ended():
    """A turn that ends at once has one token, and its surprisal and KL are of the position before it."""
    with engine_of("llama") as engine:
        bias = ((min(engine.template.stop_ids), 1e6),)
        ask = request(engine, sampling=Sampling(max_tokens=5, logit_bias=bias))
        found = asyncio.run(reread(model_of(engine), ask, ask.lines))
        assert found.completion.text == ""
        assert found.kl == pytest.approx([0.0], abs=1e-12)
        logits, _ = hooked(build("llama"), list(found.completion.prompt_token_ids), [])
        [end] = found.completion.token_ids
        assert found.nats == pytest.approx([-float(logits[-1].log_softmax(dim=-1)[end])])


def test_kl_is_that_of_scipy():
    """Entropy of two distributions; a zero probability adds nothing; rounding never goes below zero."""
    from scipy.stats import entropy

    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(2, 7, 50, generator=generator, dtype=torch.float64)
    expected = entropy(a.softmax(-1).numpy(), b.softmax(-1).numpy(), axis=-1)
    assert moved(a, b).tolist() == pytest.approx(expected.tolist())
    a[0, :25] = -math.inf
    assert moved(a, b)[0] == pytest.approx(entropy(a[0].softmax(-1).numpy(), b[0].softmax(-1).numpy()))
    assert moved(a[1:], a[1:]).tolist() == [0.0] * 6
    assert float(moved(a.float(), (a + 1e-9).float()).min()) >= 0


def test_the_size_found_moves_the_model_by_the_target():
    """95th percentile of KL over all greedy replies, measured anew at plus and minus: within 2 %."""
    with engine_of("qwen3") as engine:
        vector = random_vector(engine, 1, LAYERS)
        made = calibrated(engine, vector, target=0.5)
        known = made.header.calibration
        assert known.layers == LAYERS
        assert known.plus > 0
        assert known.minus > 0
        assert (known.target, known.tokens, known.metric) == (0.5, 4, "kl_p95_nats")
        by_size = dict(known.points)
        for size in (known.plus, -known.minus):
            edit = Add(vector=vector.digest, layers=LAYERS, scale=size, unit="reference")
            asks = [
                request(
                    engine,
                    one.lines,
                    speaker=READER,
                    sampling=Sampling(temperature=0, max_tokens=4),
                    interventions=(edit,),
                )
                for one in prompts()
            ]
            values = [kl for each in rereads(engine, asks) for kl in each.kl]
            assert by_size[size] == pytest.approx(np.quantile(values, 0.95), rel=1e-6)
            below = max((v for s, v in by_size.items() if s * size > 0 and abs(s) <= abs(size)), default=0)
            above = [v for s, v in by_size.items() if s * size > 0 and abs(s) <= abs(size) * 1.021]
            assert below == pytest.approx(0.5, rel=0.021) or max(above) > 0.5


def test_a_mirrored_vector_has_its_sides_swapped():
    """The same sizes: pushing -v by c is pushing v by -c."""
    with engine_of("llama") as engine:
        vector = random_vector(engine, 2, LAYERS)
        mirror = SteeringVector(vector.header, {layer: -d for layer, d in vector.directions.items()})
        one, other = (calibrated(engine, v).header.calibration for v in (vector, mirror))
        assert (one.plus, one.minus) == pytest.approx((other.minus, other.plus))
        mirrored = sorted((-size, value) for size, value in other.points)
        assert [x for point in one.points for x in point] == pytest.approx(
            [x for point in mirrored for x in point]
        )


def test_a_calibration_is_a_new_file_for_exactly_its_layers(tmp_path):
    """Another digest, the same directions; the unit pushes by size x reference norm; other layers are refused."""
    with engine_of("llama") as engine:
        vector = random_vector(engine, 1, (0, 1, 2))
        made = calibrated(engine, vector, layers=(2, 1))
        assert made.digest != vector.digest
        assert all(torch.equal(made.directions[i], vector.directions[i]) for i in made.layers)
        made.save(tmp_path / "v.safetensors")
        loaded = load_vector(tmp_path / "v.safetensors")
        assert loaded.digest == made.digest
        assert loaded.header.calibration == made.header.calibration
        engine.library.add(loaded)
        push = Add(vector=made.digest, layers=(1, 2), scale=-0.5, unit="calibrated")
        done = answer(engine, request(engine, interventions=(push,)))
        for layer in done.receipts[0].layers:
            size = 0.5 * made.header.calibration.minus * made.notes(layer.layer).reference_norm
            assert layer.delta_mean == pytest.approx(size)
        for layers in ((1,), (0, 1, 2), (0, 1)):
            other = msgspec.structs.replace(push, layers=layers)
            with pytest.raises(InvalidIntervention, match=r"calibrated for layers \[1, 2\] together"):
                answer(engine, request(engine, interventions=(other,)))


def test_what_cannot_be_calibrated_is_refused():
    """Too few prompts, a prompt that is answered already, an id twice, no reference norm, a target out of reach."""
    with engine_of("llama") as engine:
        vector = random_vector(engine, 1, LAYERS)
        answered = Prompt(id="done", lines=lines_of([("user", "a"), ("assistant", "b")]))
        for bad, told in (
            (prompts(63), "at least 64 prompts; got 63"),
            ((*prompts(), answered), "'done': expected messages that end with the user's"),
            ((*prompts(), prompts()[0]), "'0' stands 2 times"),
        ):
            with pytest.raises(InvalidInput, match=told):
                calibrated(engine, vector, prompts=bad)
        with pytest.raises(InvalidInput, match="a target above 0"):
            calibrated(engine, vector, target=0.0)
        with pytest.raises(CalibrationFailed, match="plus side at layers") as caught:
            calibrated(engine, vector, target=1e5)
        assert len(caught.value.points) == 13
        notes = {k: msgspec.structs.replace(n, reference_norm=None) for k, n in vector.header.layers.items()}
        bare = vector.with_header(msgspec.structs.replace(vector.header, layers=notes))
        with pytest.raises(UnsupportedRequest, match="stores reference norms"):
            calibrated(engine, bare)


def test_prompts_and_questions_from_jsonl(tmp_path):
    """One object a line; a bad line is named with its number; the shipped prompts are enough to calibrate on."""
    assert len(load_prompts("examples/p.jsonl")) >= 64
    path = tmp_path / "p.jsonl"
    path.write_text(
        '{"id": "a", "messages": [{"role": "user", "content": "hi"}], "options": ["yes", "no"]}\n\n{"id": 1}\n'
    )
    with pytest.raises(InvalidInput, match=r"p\.jsonl:3"):
        load_prompts(path)
    path.write_text(path.read_text().splitlines()[0])
    [one] = load_prompts(path)
    assert one.options == ("yes", "no")
    assert one.lines == lines_of([("user", "hi")])
    path.write_text('{"id": "q", "messages": [], "options": ["1", "2"], "answer": 2}')
    with pytest.raises(InvalidInput, match="the index of one of them; got 2 and 2"):
        load_questions(path)
