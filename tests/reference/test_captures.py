"""What is captured is what plain transformers computes at that place (interp promise 3)."""

from __future__ import annotations

import msgspec
import pytest
import torch

from symposia.core.capture import Capture, Keep, Pool, Project
from symposia.core.intervention import Add
from symposia.core.positions import everything, members, prompt, spoken
from symposia.core.profile import Sampling
from symposia.interp.acts.query import ActivationQuery
from tests.reference.asking import GREEDY, answer, answers, engine_of, request, talk
from tests.reference.families import BARS, FAMILIES, WINDOW, build, exact, relative_l2
from tests.reference.steering import hooked, random_vector

TEN = msgspec.structs.replace(GREEDY, max_tokens=10, min_tokens=10)
ALL = everything()


@torch.no_grad()
def hidden_states(family, dtype, ids):
    model = build(family, dtype)
    with exact(model):
        out = model.model(
            input_ids=torch.tensor([ids]),
            attention_mask=torch.ones(1, len(ids)),
            output_hidden_states=True,
            use_cache=False,
        )
    return [h[0] for h in out.hidden_states]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("family", FAMILIES)
def test_unsteered_captures_are_hidden_states(family, dtype):
    """`resid_pre(l)` = [l], `resid_post(l)` = [l+1] below the last block, `final` = [n]; the raw last by own hook."""
    captures = (
        Capture(site="resid_pre", layers=(0, 1, 3), where=ALL),
        Capture(site="resid_post", layers=(0, 1, 2, 3), where=ALL),
        Capture(site="final", where=ALL),
    )
    with engine_of(family, dtype, max_tokens=23) as engine:
        done = answer(engine, request(engine, talk(2 * WINDOW), sampling=TEN, captures=captures))
        ids = [*done.prompt_token_ids, *done.token_ids]
        plain = hidden_states(family, dtype, ids)
        _, after = hooked(build(family, dtype), ids, [])
        for ref in done.activations:
            match ref.site, ref.layer:
                case "resid_pre", layer:
                    expected = plain[layer]
                case "resid_post", 3:
                    expected = after[3]
                case "resid_post", layer:
                    expected = plain[layer + 1]
                case _:
                    expected = plain[4]
            assert ref.runs == ((0, len(ids)),)
            assert relative_l2(engine.store.at(ref), expected) <= BARS[dtype]


@pytest.mark.parametrize("family", ["llama", "gemma2"])
def test_steered_minus_clean_is_the_delta_at_the_first_steered_layer(family):
    """And `before` is the clean row, `after` the steered one, of the very same forward."""
    with engine_of(family) as engine:
        vector = random_vector(engine, 1)
        edit = Add(vector=vector.digest, scale=2.0, layers=(1,), where=ALL)
        captures = tuple(Capture(layers=(1,), where=ALL, at=at, name=at) for at in ("before", "after"))
        read = Sampling(max_tokens=0)
        clean, steered = (
            answer(engine, request(engine, sampling=read, captures=captures, interventions=edits))
            for edits in ((), (edit,))
        )
        rows = {
            (d, r.name): engine.store.at(r) for d, c in (("c", clean), ("s", steered)) for r in c.activations
        }
    delta = 2.0 * 4.0 * vector.units(1)[0]
    assert relative_l2(rows["s", "after"] - rows["s", "before"], delta.expand_as(rows["s", "after"])) <= 1e-9
    assert relative_l2(rows["s", "after"] - rows["c", "after"], delta.expand_as(rows["s", "after"])) <= 1e-9
    assert relative_l2(rows["s", "before"], rows["c", "before"]) <= 1e-10


def test_rows_match_token_ids_and_the_last_token_is_flushed():
    """A turn cut by length has a row for every generated token, the last one included, and no other."""
    with engine_of("qwen3") as engine:
        done = answer(engine, request(engine, sampling=TEN, captures=(Capture(layers=(2,)),)))
        [ref] = done.activations
        acts = engine.store.of(done.activations)
        tokens = acts.tokens()
    n = len(done.prompt_token_ids)
    assert ref.runs == ((n, n + 10),)
    assert [t.token_id for t in tokens] == list(done.token_ids)
    assert acts.tensors().shape == (10, 64)
    assert acts.tensors().requires_grad is False
    assert not acts.tensors().is_inference()


def test_tokens_cut_by_a_stop_string_leave_the_captures():
    """Rows, ids and spans all end before the match."""
    with engine_of("llama") as engine:
        free = answer(engine, request(engine, sampling=TEN))
        stop = free.text[len(free.text) // 2 :][:3]
        cut = msgspec.structs.replace(GREEDY, max_tokens=10, stop=(stop,))
        done = answer(engine, request(engine, sampling=cut, captures=(Capture(layers=(0,), where=ALL),)))
        assert done.finish_reason == "stop_string"
        assert done.text == free.text[: free.text.index(stop)]
        assert done.token_ids == free.token_ids[: len(done.token_ids)]
        assert len(done.token_ids) < 10
        total = len(done.prompt_token_ids) + len(done.token_ids)
        assert done.activations[0].runs == ((0, total),)
        assert done.activations[0].shape[0] == total
        assert done.spans[-1].stop == total


def test_pooling_and_projecting_are_arithmetic_on_the_kept_rows():
    """Pool gives one fp32 row a span; Project gives a float a token, and stores nothing."""
    with engine_of("qwen2") as engine:
        vector = random_vector(engine, 4)
        where = prompt() | spoken()
        captures = (
            Capture(layers=(1,), where=where, reduce=Keep(), name="keep"),
            *(Capture(layers=(1,), where=where, reduce=Pool(by), name=by) for by in ("mean", "last", "max")),
            *(
                Capture(layers=(1,), where=where, reduce=Project(vector.digest, how), name=how)
                for how in ("projection", "cosine")
            ),
        )
        before = engine.store.free
        done = answer(engine, request(engine, sampling=TEN, captures=captures))
        rows = {ref.name: engine.store.at(ref) for ref in done.activations}
        stored = before - engine.store.free
        [keep] = [ref for ref in done.activations if ref.name == "keep"]
    positions = members(keep.runs)
    groups = [[i for i, p in enumerate(positions) if s.start <= p < s.stop] for s in done.spans]
    expected = {
        "mean": [rows["keep"][g].mean(dim=0) for g in groups if g],
        "last": [rows["keep"][g[-1]] for g in groups if g],
        "max": [rows["keep"][g].amax(dim=0) for g in groups if g],
    }
    for by, values in expected.items():
        assert rows[by].dtype == torch.float32
        assert relative_l2(rows[by], torch.stack(values)) <= 1e-6
    unit = vector.directions[1].double()
    dots = rows["keep"] @ unit
    readouts = {readout.name: readout for readout in done.readouts}
    assert readouts["projection"].positions == tuple(positions)
    assert readouts["projection"].values == pytest.approx(dots.tolist())
    assert readouts["cosine"].values == pytest.approx((dots / rows["keep"].norm(dim=1)).tolist())
    assert stored == sum(row.numel() * row.element_size() for row in rows.values())


def test_reuse_ends_before_the_first_captured_position():
    """A cached prefix never hides a position somebody wants to read."""
    with engine_of("llama", block=4) as engine:
        ask = request(engine, talk(30), sampling=TEN)
        answer(engine, ask)
        all_read = answer(engine, msgspec.structs.replace(ask, captures=(Capture(layers=(1,), where=ALL),)))
        some_read = answer(engine, msgspec.structs.replace(ask, captures=(Capture(layers=(1,)),)))
    assert all_read.usage.cached_tokens == 0
    assert all_read.activations[0].shape[0] == len(all_read.prompt_token_ids) + 10
    assert some_read.usage.cached_tokens > 20
    assert some_read.activations[0].shape[0] == 10


def test_whose_forward_and_whose_tokens():
    """`reader="alice", author="bob"` is alice reading bob."""
    with engine_of("llama") as engine:
        answers(
            engine,
            [request(engine, speaker=name, captures=(Capture(layers=(1,), where=ALL),)) for name in "ac"],
        )
        bob = engine.store.query(ActivationQuery(reader="a", author="bob"))
        own = engine.store.query(ActivationQuery(reader="a", author="a"))
        none = engine.store.query(ActivationQuery(reader="bob"))
        assert {t.span.author for t in bob.tokens()} == {"bob"}
        assert len(bob.tensors()) == len(bob)
        assert len(own) == 16
        assert len(none) == 0
