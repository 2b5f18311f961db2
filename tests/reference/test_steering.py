"""Every row of a mixed batch is what plain forward hooks on plain transformers make of it (interp promises 1, 2, 4)."""

from __future__ import annotations

import msgspec
import pytest
import torch

from symposia.core.capture import Capture
from symposia.core.intervention import Ablate, Add
from symposia.core.positions import answer as answer_positions
from symposia.core.positions import everything, first, prompt, speaking
from symposia.core.profile import Sampling
from symposia.core.request import PastTurn
from tests.reference.asking import (
    CONTROL,
    GREEDY,
    NO_CONTROL,
    answer,
    answers,
    continued,
    engine_of,
    request,
    talk,
)
from tests.reference.families import BARS, FAMILIES, WINDOW, build, relative_l2
from tests.reference.steering import hooked, random_vector, selected

READ = (Capture(site="logits", where=everything()), Capture(layers=(0, 2, 3), where=everything()))
LONG = msgspec.structs.replace(GREEDY, max_tokens=10, min_tokens=10)


def recipes(engine):
    """Lists of (edit, vector): every operation, unit and site of this engine, alone and composed."""
    a, b = random_vector(engine, 1), random_vector(engine, 2)
    plane = random_vector(engine, 3, rank=3)
    add = {"scale": 1.5, "layers": (1,)}
    return [
        [],
        [(Add(vector=a.digest, **add), a)],
        [(Add(vector=a.digest, unit="absolute", scale=-4.0, layers=(0, 3), weights=(1.0, 0.5)), a)],
        [(Add(vector=a.digest, unit="relative", scale=0.3, layers=(2,), site="resid_pre"), a)],
        [(Add(vector=b.digest, unit="reference", scale=0.4, layers=(1, 2), where=prompt()), b)],
        [(Ablate(vector=b.digest, layers=(0, 1, 2, 3), direction_from=2, where=everything()), b)],
        [
            (
                Ablate(vector=plane.digest, layers=(2,), strength=0.7, where=answer_positions() | prompt()),
                plane,
            )
        ],
        [
            (Add(vector=a.digest, **add, where=everything()), a),
            (Add(vector=b.digest, unit="relative", scale=0.2, layers=(1,)), b),
            (Ablate(vector=a.digest, layers=(1, 3)), a),
            (Add(vector=b.digest, **add, where=first(3) | speaking()), b),
        ],
    ]


def asks(engine):
    made = recipes(engine)
    words = [7, 3 * WINDOW, 12, 5, 40, 9, 21, 30]
    return made, [
        request(
            engine, talk(words[i], i), sampling=LONG, interventions=tuple(e for e, _ in recipe), captures=READ
        )
        for i, recipe in enumerate(made)
    ]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("family", FAMILIES)
def test_mixed_batch_is_the_plain_hook_reference(family, dtype):
    """Vectors, sites, units and captures differ by row; logits, tokens and residuals are the reference's."""
    with engine_of(family, dtype, max_tokens=40, block=8) as engine:
        made, wanted = asks(engine)
        for recipe, done in zip(made, answers(engine, wanted), strict=True):
            ids = [*done.prompt_token_ids, *done.token_ids]
            edits = [(edit, vector, selected(engine, done, edit)) for edit, vector in recipe]
            logits, after = hooked(build(family, dtype), ids, edits)
            got = {(ref.site, ref.layer): engine.store.at(ref) for ref in done.activations}
            assert relative_l2(got["logits", None], logits) <= BARS[dtype]
            for layer in (0, 2, 3):
                assert relative_l2(got["resid_post", layer], after[layer]) <= BARS[dtype]
            logits[:, CONTROL] = -torch.inf
            assert logits[len(done.prompt_token_ids) - 1 : -1].argmax(dim=-1).tolist() == list(done.token_ids)


@pytest.mark.parametrize("family", ["qwen2", "gemma3_text"])
def test_a_row_of_the_batch_equals_its_single_run(family):
    """Tokens, text, receipts' positions and captured rows do not depend on the neighbours."""
    with engine_of(family, max_tokens=40, reuse=False) as engine:
        _, wanted = asks(engine)
        together = answers(engine, wanted)
        for ask, done in zip(wanted, together, strict=True):
            alone = answer(engine, ask)
            assert (alone.token_ids, alone.text, alone.spans) == (done.token_ids, done.text, done.spans)
            assert [r.runs for r in alone.receipts] == [r.runs for r in done.receipts]
            for mine, theirs in zip(alone.activations, done.activations, strict=True):
                assert mine.runs == theirs.runs
                assert relative_l2(engine.store.at(mine), engine.store.at(theirs)) <= BARS["float64"]


def test_receipts_count_what_the_reference_changed():
    """Tokens, norm, delta and projections of a receipt are those of the reference's rows."""
    with engine_of("llama") as engine:
        vector = random_vector(engine, 1)
        edit = Add(vector=vector.digest, scale=2.0, layers=(1,), where=everything())
        done = answer(engine, request(engine, interventions=(edit,), captures=READ, sampling=LONG))
        ids = [*done.prompt_token_ids, *done.token_ids]
        _, clean = hooked(build("llama", "float64"), ids, [])
    [receipt], unit = done.receipts, vector.directions[1].double()
    [layer] = receipt.layers
    assert receipt.status == "applied"
    assert receipt.runs == ((0, len(ids)),)
    assert layer.tokens == len(ids)
    assert layer.norm == pytest.approx(float(clean[1].norm(dim=1).mean()))
    assert layer.delta_mean == pytest.approx(2.0 * 4.0)
    assert layer.before == pytest.approx(float((clean[1] @ unit).mean()))
    assert layer.after == pytest.approx(layer.before + 8.0)


def test_adds_are_a_vector_space():
    """v + v = 2v, adds commute, v - v and scale 0 give bit-identical logits."""
    with engine_of("qwen2", "float32", reuse=False) as engine:
        a, b = random_vector(engine, 1), random_vector(engine, 2)

        def logits(*edits):
            made = tuple(Add(vector=v.digest, scale=s, layers=(1,), where=everything()) for v, s in edits)
            capture = Capture(site="logits", where=everything())
            done = answer(engine, request(engine, interventions=made, captures=(capture,), sampling=LONG))
            return engine.store.at(done.activations[0])

        clean = logits()
        assert logits((a, 1.0), (a, -1.0)).equal(clean)
        assert logits((a, 0.7), (b, 0.3), (a, -0.7), (b, -0.3)).equal(clean)
        assert logits((a, 0.0)).equal(clean)
        assert relative_l2(logits((a, 1.0), (a, 1.0)), logits((a, 2.0))) <= 1e-6
        assert relative_l2(logits((a, 1.0), (b, 1.0)), logits((b, 1.0), (a, 1.0))) <= 1e-6
        assert not logits((a, 1.0)).equal(clean)


def test_ablation_is_idempotent_and_depends_on_the_span_only():
    """Ablating twice is ablating once, and nothing of the subspace is left."""
    with engine_of("llama") as engine:
        plane = random_vector(engine, 3, rank=3)
        once = Ablate(vector=plane.digest, layers=(2,), where=everything())
        capture = Capture(layers=(2,), where=everything())
        one, two = answers(
            engine,
            [request(engine, interventions=(once,) * n, captures=(capture,), sampling=LONG) for n in (1, 2)],
        )
        rows = engine.store.at(one.activations[0])
        assert relative_l2(engine.store.at(two.activations[0]), rows) <= 1e-12
        assert float((rows @ plane.directions[2].double().T).abs().max()) < 1e-6
        assert one.token_ids == two.token_ids


def test_steering_never_moves_the_random_stream():
    """A zero vector and no vector sample the same tokens from the same seed."""
    with engine_of("llama") as engine:
        vector = random_vector(engine, 1)
        warm = Sampling(temperature=1.0, max_tokens=12, logit_bias=NO_CONTROL)
        zero = Add(vector=vector.digest, scale=0.0, layers=(1,))
        plain, twin = answers(
            engine, [request(engine, sampling=warm, seed=5, interventions=i) for i in ((), (zero,))]
        )
    assert plain.token_ids == twin.token_ids


@pytest.mark.parametrize("history", ["scoped", "clean", "keep"])
def test_history_policies_are_what_they_say(history):
    """Own earlier turns under the present steering, under none, or under the one each was sampled with."""
    with engine_of("qwen3", block=4) as engine:
        a, b = random_vector(engine, 1), random_vector(engine, 2)
        old, new = (Add(vector=v.digest, layers=(1,), scale=2.0) for v in (a, b))
        first = request(engine, talk(9), sampling=LONG, interventions=(old,))
        said = answer(engine, first)
        past = (PastTurn(turn=1, interventions=(old,)),) if history == "keep" else ()
        fields = {"interventions": (new,), "history": history, "past": past, "captures": READ}
        done = answer(engine, continued(first, said, "and what then", **fields))
        logits_ref, *rest = done.activations
        got = engine.store.at(logits_ref)
        after_ref = engine.store.at(rest[1])
    ids = [*done.prompt_token_ids, *done.token_ids]
    [own] = [s for s in done.spans if s.author == "alice" and not s.generated and s.phase == "answer"]
    earlier = list(range(own.start - 1, own.stop))
    present = list(range(len(done.prompt_token_ids) - 1, len(ids)))
    assert [ids[p] for p in earlier[1:]] == list(said.token_ids)
    edits = {
        "scoped": [(new, b, earlier + present)],
        "clean": [(new, b, present)],
        "keep": [(old, a, earlier), (new, b, present)],
    }[history]
    logits, after = hooked(build("qwen3"), ids, edits)
    assert relative_l2(got, logits) <= BARS["float64"]
    assert relative_l2(after_ref, after[2]) <= BARS["float64"]
    assert [r.tokens.history for r in done.receipts] == {"scoped": [11], "clean": [0], "keep": [11, 0]}[
        history
    ]
    assert {r.history for r in done.receipts} == {history}
