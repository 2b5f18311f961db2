"""Section 16: one test for each defect of a known system that looking inside must not repeat, named in its docstring.

Swallowed hooks and replays that skip a tap are `test_07_counted_and_refused`; probe weights of another space,
`tests/interp/test_methods.py`; patching and vector files have tests of their own beside these.
"""

from __future__ import annotations

import pickle
import threading

import msgspec
import pytest
import torch

from symposia.core.capture import Capture
from symposia.core.errors import InvalidInput
from symposia.core.intervention import Add, Gate, Intervention
from symposia.core.positions import (
    Positions,
    Range,
    Where,
    everything,
    members,
    prompt,
    said_by,
    speaking,
    spoken,
)
from symposia.core.value import canonical, decode
from symposia.interp.vector import UnreadableVector, load_vector
from tests.reference.asking import (
    GREEDY,
    answer,
    answers,
    answers_together,
    continued,
    engine_of,
    request,
    talk,
)
from tests.reference.families import BARS, build, exact, relative_l2
from tests.reference.steering import hooked, random_vector, selected

TWELVE = msgspec.structs.replace(GREEDY, max_tokens=12, min_tokens=12)
BAR = BARS["float64"]


def ids_of(done):
    return [*done.prompt_token_ids, *done.token_ids]


def test_a_steered_turn_shows_steered_activations():
    """interlens: activations came from a second, unsteered forward, so a steered turn showed clean ones."""
    with engine_of("qwen2") as engine:
        vector = random_vector(engine, 1)
        push = Add(vector=vector.digest, scale=2.0, layers=(1,))
        seen = Capture(layers=(1, 3), where=spoken())
        done = answer(engine, request(engine, sampling=TWELVE, interventions=(push,), captures=(seen,)))
        steered = hooked(build("qwen2"), ids_of(done), [(push, vector, selected(engine, done, push))])[1]
        clean = hooked(build("qwen2"), ids_of(done), [])[1]
        for ref in done.activations:
            rows, at = engine.store.at(ref), members(ref.runs)
            assert relative_l2(rows, steered[ref.layer][at]) <= BAR
            assert relative_l2(rows, clean[ref.layer][at]) > 0.05


def test_the_last_block_is_raw_and_every_capture_sees_the_write_at_its_layer():
    """transformers: `output_hidden_states` ends with the normed state, and misses a hook at its own layer."""
    with engine_of("llama") as engine:
        vector = random_vector(engine, 2)
        push = Add(vector=vector.digest, scale=1.0, unit="absolute", layers=(3,), where=everything())
        seen = (Capture(layers=(3,), where=everything()), Capture(site="final", where=everything()))
        clean, steered = answers(
            engine,
            [request(engine, captures=seen), request(engine, captures=seen, interventions=(push,))],
        )
        n = len(clean.prompt_token_ids)
        raw, normed = (engine.store.at(ref)[:n] for ref in clean.activations)
        moved = engine.store.at(steered.activations[0])[:n]
        assert (
            relative_l2(moved - raw, vector.directions[3].double().expand(n, -1)) <= 1e-6
        )  # the file is fp32
        assert relative_l2(raw, normed) > 0.1
        with torch.no_grad(), exact(build("llama")) as _:
            ids = torch.tensor([clean.prompt_token_ids])
            plain = build("llama").model(
                ids, attention_mask=torch.ones_like(ids), output_hidden_states=True, use_cache=False
            )
        assert relative_l2(normed, plain.hidden_states[-1][0]) <= BAR


def test_decode_is_steered_and_a_first_token_is_steered_once():
    """steering-vectors' `min_token_index` left decode unsteered; vllm-lens wrote index 0 again at each decode step."""
    with engine_of("qwen2") as engine:
        vector = random_vector(engine, 3)
        talking = Add(vector=vector.digest, layers=(1,))
        first = Positions(any=(Where(tokens=(Range(0, 1),), within="sequence", special=True),))
        once = Add(vector=vector.digest, layers=(1,), where=first)
        both = answers(
            engine,
            [
                request(engine, sampling=TWELVE, interventions=(one,), captures=(Capture(layers=(1,)),))
                for one in (talking, once)
            ],
        )
        assert [done.receipts[0].tokens.generated for done in both] == [
            12,
            0,
        ]  # a capture has the last token fed
        assert both[1].receipts[0].tokens.given == 1
        assert both[1].receipts[0].layers[0].tokens == 1


def test_every_row_of_a_batch_is_steered_and_captured():
    """CAST, AxBench, interlens: `outputs[0]` of a bare tensor is batch row 0, and only that was steered."""
    with engine_of("qwen2") as engine:
        vector = random_vector(engine, 4)
        push = Add(vector=vector.digest, scale=2.0, layers=(2,))
        seen = Capture(layers=(2,))
        asks = [
            request(engine, talk(5 + i, i), sampling=TWELVE, interventions=(push,), captures=(seen,))
            for i in range(4)
        ]
        for alone, together in zip(
            [answer(engine, ask) for ask in asks], answers_together(engine, asks), strict=True
        ):
            assert together.token_ids == alone.token_ids
            assert together.receipts[0].tokens.generated == 12
            rows = engine.store.at(together.activations[0])
            assert relative_l2(rows, engine.store.at(alone.activations[0])) <= BAR


def test_above_means_above_and_a_layer_is_where_it_was_read():
    """CAST: `larger` opened when smaller; a direction read behind block l was applied before it."""
    with engine_of("qwen2") as engine:
        vector = random_vector(engine, 5)

        def asked(test: str, threshold: float):
            gate = Gate(vector=vector.digest, layer=0, over=prompt(), test=test, threshold=threshold)
            return request(engine, interventions=(Add(vector=vector.digest, layers=(2,), gate=gate),))

        readings = [
            done.receipts[0].gate for done in answers(engine, [asked("above", 0.0), asked("below", 0.0)])
        ]
        assert [reading.open for reading in readings] == [readings[0].score > 0, readings[0].score < 0]
        push = Add(vector=vector.digest, unit="absolute", layers=(2,), where=everything())
        seen = Capture(layers=(1, 2), where=everything())
        clean, steered = answers(
            engine,
            [request(engine, captures=(seen,)), request(engine, captures=(seen,), interventions=(push,))],
        )
        n = len(clean.prompt_token_ids)
        before, at = (
            engine.store.at(b)[:n] - engine.store.at(a)[:n]
            for a, b in zip(clean.activations, steered.activations, strict=True)
        )
        assert relative_l2(before + 1, torch.ones_like(before)) <= BAR
        assert relative_l2(at, vector.directions[2].double().expand(n, -1)) <= 1e-6


def test_a_steered_dialogue_keeps_its_prefix_and_leaves_nobody_its_keys():
    """EasySteer: steered turns came back as unsteered prompt. interp-engine: a salt a request, no reuse. vLLM plugins:
    keys and values made under steering were reused by clean requests.
    """
    with engine_of("qwen2") as engine, engine_of("qwen2") as cold:
        vector = random_vector(engine, 6)
        push = Add(vector=vector.digest, scale=2.0, layers=(0, 1))
        first = request(engine, talk(40), sampling=TWELVE, interventions=(push,))
        said = answer(engine, first)
        second = continued(first, said, "and then what came over the hills")
        again = answer(engine, second)
        assert again.usage.cached_tokens >= 0.95 * (len(said.prompt_token_ids) + 12)
        assert again.receipts[0].tokens.history >= 12
        bare = msgspec.structs.replace(second, interventions=())
        assert (
            answer(engine, bare).token_ids
            == answer(cold, msgspec.structs.replace(bare, model=cold.address)).token_ids
        )


def test_steering_stays_with_its_request():
    """llama.cpp, repeng, TransformerLens steer a whole engine. interlens: shared hooks leaked to another thread."""
    with engine_of("qwen2") as engine:
        vector = random_vector(engine, 7)
        push = Add(vector=vector.digest, scale=4.0, layers=(0,))
        clean = request(engine, talk(9), sampling=TWELVE)
        steered = msgspec.structs.replace(clean, interventions=(push,))
        expected = [answer(engine, one).token_ids for one in (clean, steered)]
        assert expected[0] != expected[1]
        got: dict[int, list[tuple[int, ...]]] = {}
        threads = [
            threading.Thread(
                target=lambda i=i, ask=ask: got.update({i: [answer(engine, ask).token_ids for _ in range(6)]})
            )
            for i, ask in enumerate((clean, steered))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert got == {i: [expected[i]] * 6 for i in range(2)}


def test_a_write_at_a_term_is_not_rescaled_and_norms_are_of_the_whole_residual():
    """vllm-lens < 1.2.0: the norm of half of a fused residual. Gemma: an add before a sandwich norm is rescaled."""
    with engine_of("gemma2") as engine:
        vector = random_vector(engine, 8)
        push = Add(
            vector=vector.digest, scale=3.0, unit="absolute", site="mlp_out", layers=(1,), where=everything()
        )
        grown = Add(vector=vector.digest, scale=0.5, unit="relative", layers=(1,), where=everything())
        seen = Capture(layers=(1,), where=everything())
        clean, pushed, scaled = answers(
            engine,
            [request(engine, captures=(seen,), interventions=edits) for edits in ((), (push,), (grown,))],
        )
        n = len(clean.prompt_token_ids)
        rows = [engine.store.at(done.activations[0])[:n] for done in (clean, pushed, scaled)]
        d = vector.directions[1].double()
        assert relative_l2(rows[1] - rows[0], (3.0 * d).expand(n, -1)) <= 1e-6
        assert relative_l2(rows[2] - rows[0], 0.5 * rows[0].norm(dim=1, keepdim=True) * d) <= 1e-6


def test_spans_come_from_the_whole_rendering_and_name_every_speaker():
    """persona vectors: a prefix tokenised again to find where an answer starts. interlens: others unlabelled."""
    with engine_of("qwen2") as engine:
        first = request(engine, talk(6), sampling=TWELVE)
        said = answer(engine, first)
        again = answer(engine, continued(first, said, "so they say"))
        ids, spans = ids_of(again), again.spans
        assert [s.stop for s in spans[:-1]] == [s.start for s in spans[1:]]
        assert (spans[0].start, spans[-1].stop) == (0, len(ids))
        own = [s for s in spans if s.author == "alice" and s.turn == 1 and s.phase == "answer"]
        assert tuple(i for s in own for i in ids[s.start : s.stop]) == said.token_ids
        assert {(s.author, s.turn) for s in spans if s.phase == "prompt"} == {("bob", 0), ("bob", 2)}
        seen = Capture(layers=(1,), where=said_by("bob"))
        read = answer(engine, continued(first, said, "so they say", captures=(seen,)))
        covered = members(read.activations[0].runs)
        assert covered == [p for s in spans if s.phase == "prompt" for p in range(s.start, s.stop)]


def test_logprobs_are_the_models_own_and_captures_can_be_trained_on():
    """Logprobs of the warped distribution; inference-mode tensors no probe can learn from."""
    with engine_of("qwen2") as engine:
        plain = request(engine, sampling=TWELVE, logprobs=2, captures=(Capture(layers=(1,)),))
        warped = msgspec.structs.replace(
            plain, sampling=msgspec.structs.replace(TWELVE, temperature=7.0, top_k=1)
        )
        one, other = answers(engine, [plain, warped])
        assert one.token_ids == other.token_ids
        assert one.logprobs.chosen == pytest.approx(other.logprobs.chosen, abs=1e-9)
        assert max(other.logprobs.chosen) < 0
        rows = engine.store.at(one.activations[0])
        weight = torch.zeros(rows.shape[-1], dtype=rows.dtype, requires_grad=True)
        (rows @ weight).sum().backward()
        assert weight.grad.abs().sum() > 0


def test_an_unknown_operation_is_an_error():
    """interlens: a mode nobody knows was treated as ablate."""
    with pytest.raises(InvalidInput, match="ablat"):
        decode(b'{"op": "ablat", "vector": "v"}', Intervention)
    with pytest.raises(InvalidInput, match="strenght"):
        decode(b'{"op": "ablate", "vector": "v", "strenght": 1.0}', Intervention)


class _Runs:
    """Unpickling it writes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_no_file_runs_code(tmp_path):
    """steering-vectors: vectors are pickles. nnsight-serve, vllm-lens: requests carry pickled code."""
    (tmp_path / "v.safetensors").write_bytes(pickle.dumps(_Runs(tmp_path / "ran")))
    with pytest.raises(UnreadableVector, match="safetensors"):
        load_vector(tmp_path / "v.safetensors")
    assert not (tmp_path / "ran").exists()


def test_activations_travel_by_reference_and_are_the_rows_own():
    """inspect_ai #2860, #4418: activations logged as lists, as null, or the whole batch's for each sample."""
    with engine_of("qwen2") as engine:
        asks = [
            request(engine, talk(5 + i), sampling=TWELVE, captures=(Capture(layers=(0, 1, 2, 3)),))
            for i in range(5)
        ]
        for done in answers_together(engine, asks):
            assert [list(ref.shape) for ref in done.activations] == [[12, 64]] * 4
            assert len(canonical(done.activations)) < 1600
            assert all(ref.digest.startswith("sha256:") for ref in done.activations)


def test_positions_are_of_the_sequence_whatever_was_computed_before():
    """AISteer360: positions from `cache_position`, which is gone, and which a reused prefix moved."""
    with engine_of("qwen2") as engine, engine_of("qwen2", reuse=False) as cold:
        for one in (engine, cold):
            random_vector(one, 9)
        vector = random_vector(engine, 9)
        push = Add(vector=vector.digest, scale=2.0, layers=(1,), where=speaking())
        first = request(engine, talk(30), sampling=TWELVE, interventions=(push,))
        second = continued(first, answer(engine, first), "go on")
        warm = answer(engine, second)
        fresh = answer(cold, msgspec.structs.replace(second, model=cold.address))
        assert warm.usage.cached_tokens > 30
        assert fresh.usage.cached_tokens == 0
        assert warm.token_ids == fresh.token_ids
        assert warm.receipts[0].runs == fresh.receipts[0].runs


def test_squared_norms_do_not_overflow():
    """Many: the square of a 16-bit norm is infinite from 256 on."""
    with engine_of("qwen2", "float16") as engine:
        vector = random_vector(engine, 10)
        far = Add(vector=vector.digest, scale=900.0, unit="absolute", layers=(2,))
        doubled = Add(vector=vector.digest, scale=0.5, unit="relative", layers=(3,))
        done = answer(engine, request(engine, sampling=TWELVE, interventions=(far, doubled)))
        measured = done.receipts[1].layers[0]
        assert 800 < measured.norm < 1100
        assert measured.delta_mean == pytest.approx(measured.norm / 2, rel=0.01)


def test_an_error_inside_the_lent_module_is_the_error_seen():
    """steering-vectors: cleanup masked what had gone wrong. Afterwards the engine answers as before."""
    with engine_of("qwen2") as engine:
        before = answer(engine, request(engine)).token_ids
        with pytest.raises(ZeroDivisionError), engine.exclusive():
            raise ZeroDivisionError
        assert answer(engine, request(engine)).token_ids == before
