"""On a GPU: runners, kernels and recordings against plain transformers and against the same engine on the CPU."""

from __future__ import annotations

import copy

import msgspec
import pytest
import torch

from symposia.core.capture import Capture
from symposia.core.intervention import Ablate, Add, Gate
from symposia.core.positions import everything, speaking
from symposia.engine.replay.recorder import CudaRecorder
from tests.gpu.machine import engine_on, exact_products, graphs, model_of, needs_gpu  # noqa: F401  a fixture
from tests.reference.asking import CONTROL, GREEDY, answer, answers, request, talk
from tests.reference.families import FAMILIES, WINDOW, plain_generate, plain_logits, relative_l2
from tests.reference.steering import random_vector
from tests.triton_kernels import DEVICE

pytestmark = [pytest.mark.gpu, pytest.mark.timeout(600), needs_gpu]
PROMPTS = [2, 5, 30, 11, 60, 1, 19, 45, 13]
CPU = torch.device("cpu")


def sampling(n):
    return msgspec.structs.replace(GREEDY, max_tokens=n, min_tokens=n)


def asks(engine, n=20, wish=lambda engine, row: {}):
    return [
        request(engine, talk(words, row), sampling=sampling(n), **wish(engine, row))
        for row, words in enumerate(PROMPTS)
    ]


@pytest.mark.parametrize("runner", ["lean", "hf"])
@pytest.mark.parametrize("family", FAMILIES)
def test_greedy_tokens_are_those_of_generate(family, runner):
    """Nine ragged prompts in one continuous batch, fp32, chunked prefill; decode steps replayed where lean."""
    with engine_on(family, "float32", runner=runner, max_tokens=48, max_rows=9) as engine:
        got = answers(engine, asks(engine))
        if runner == "lean":
            assert graphs(engine).replayed > 0
            assert set(graphs(engine).eager) <= {"prefill"}
    model = model_of(family, "float32")
    expected = [plain(model, list(each.prompt_token_ids), 20) for each in got]
    assert [list(each.token_ids) for each in got] == expected


def plain(model, prompt, n):
    with torch.device(DEVICE):
        return plain_generate(model, [prompt], n, CONTROL)[0]


@pytest.mark.parametrize("runner", ["lean", "hf"])
@pytest.mark.parametrize("family", FAMILIES)
def test_bfloat16_is_as_close_to_fp32_as_on_the_cpu(family, runner):
    """Every position's logits, prompt longer than the window: within 1.5 times plain bf16's distance from fp32."""
    with engine_on(family, "bfloat16", runner=runner, max_tokens=17) as engine:
        capture = Capture(site="logits", where=everything())
        ask = request(engine, talk(2 * WINDOW), sampling=sampling(8), captures=(capture,))
        done = answer(engine, ask)
        rows = engine.store.at(done.activations[0]).cpu()
    ids = [*done.prompt_token_ids, *done.token_ids]
    model = model_of(family, "bfloat16", CPU)
    exact = plain_logits(copy.deepcopy(model).float(), ids)
    assert relative_l2(rows, exact) <= 1.5 * relative_l2(plain_logits(model, ids), exact)


def steered(engine, row):
    """A third of the rows plain, a third steered and read at residual sites, a third gated."""
    if row % 3 == 0:
        return {}
    vector = random_vector(engine, row).digest
    if row % 3 == 1:
        adds = (
            Add(vector=vector, scale=1.5, site=site, layers=(0, 1, 3), where=speaking())
            for site in ("resid_pre", "resid_mid", "resid_post")
        )
        capture = Capture(site="resid_post", layers=(0, 3), where=speaking())
        return {"interventions": tuple(adds), "captures": (capture,)}
    gate = Gate(vector=vector, layer=1, over=everything(), pool="each")
    ablate = Ablate(vector=vector, layers=(2,), where=speaking())
    add = Add(vector=vector, scale=2.0, layers=(2,), where=speaking(), gate=gate)
    return {"interventions": (ablate, add)}


@pytest.mark.parametrize("family", ["qwen2", "gemma2", "olmo2"])
def test_steered_replays_are_what_torch_computes_on_the_cpu(family):
    """fp32: the same tokens, receipts and activations as on the CPU by torch's operators."""
    with engine_on(family, "float32", runner="lean") as ours:
        got = answers(ours, asks(ours, wish=steered))
        kept = [[ours.store.at(ref).cpu() for ref in each.activations] for each in got]
        assert graphs(ours).replayed > 0
        assert set(graphs(ours).eager) <= {"prefill"}
    with engine_on(family, "float32", device=CPU, runner="lean", native=False) as theirs:
        expected = answers(theirs, asks(theirs, wish=steered))
        for mine, known, rows in zip(got, expected, kept, strict=True):
            assert mine.token_ids == known.token_ids
            for one, other in zip(mine.receipts, known.receipts, strict=True):
                assert (one.status, one.tokens, one.runs) == (other.status, other.tokens, other.runs)
                for layer, same in zip(one.layers, other.layers, strict=True):
                    assert layer.delta_mean == pytest.approx(same.delta_mean, rel=2e-3)
                    assert layer.norm == pytest.approx(same.norm, rel=2e-3)
            for mine_ND, ref in zip(rows, known.activations, strict=True):
                assert relative_l2(mine_ND, theirs.store.at(ref)) <= 1e-3


@pytest.mark.parametrize("site", ["mlp_out", "z"])
def test_a_site_without_a_tap_is_written_all_the_same(site):
    """Such steps are not replayed, and nothing is skipped."""

    def wish(engine, row):
        vector = random_vector(engine, 1, site=site).digest
        add = Add(vector=vector, scale=1.5, site=site, layers=(1,), where=speaking())
        return {"interventions": (add,)} if row == 1 else {}

    with engine_on("qwen2", "float32", runner="lean") as ours:
        got = answers(ours, asks(ours, wish=wish))
        assert graphs(ours).eager[f"sites {site}"] > 0
    with engine_on("qwen2", "float32", device=CPU, runner="lean", native=False) as theirs:
        expected = answers(theirs, asks(theirs, wish=wish))
    assert [each.token_ids for each in got] == [each.token_ids for each in expected]
    assert [each.status for each in got[1].receipts] == ["applied"]


def test_a_graph_reads_what_its_inputs_hold_now():
    """The recorder itself: three replays of one recording on three inputs."""
    held = torch.zeros(4, device=DEVICE)
    recording = CudaRecorder().record(lambda: held * 2 + 1)
    for value in (1.0, 5.0, -2.0):
        held.fill_(value)
        recording.replay()
        assert recording.output.tolist() == [2 * value + 1] * 4


def test_bank_and_ledger_may_grow_between_replays():
    """More vectors and more slots than there was room for: recorded anew, receipts as planned."""
    with engine_on("qwen2", "float32", runner="lean", max_rows=8) as engine:
        for start in range(0, 1200, 300):
            vectors = [random_vector(engine, start + i, layers=(1,)).digest for i in range(300)]
            adds = tuple(
                Add(vector=v, scale=0.01, norm="keep", layers=(1,), where=speaking()) for v in vectors
            )
            some = [request(engine, talk(5, i), sampling=sampling(3), interventions=adds) for i in range(8)]
            for done in answers(engine, some):
                assert {receipt.status for receipt in done.receipts} == {"applied"}
        assert graphs(engine).replayed > 0
