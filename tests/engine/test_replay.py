"""Recorded decode steps: which steps take one, and that a replay is the step, writes and captures and all."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from symposia.core.capture import Capture
from symposia.core.intervention import Ablate, Add, Gate
from symposia.core.positions import everything, speaking
from symposia.core.profile import Sampling
from symposia.engine import Engine, EngineOptions
from symposia.engine.kernels.tables import Grid
from symposia.engine.replay.inputs import Inputs, laid
from symposia.engine.replay.plan import bucket_of, buckets, why_not
from symposia.engine.replay.recorder import Rerun
from symposia.engine.runner import Batch, RowView
from symposia.engine.runner.device import Accelerator
from symposia.interp.program import SIZE
from tests.reference.asking import GREEDY, answers, request, talk
from tests.reference.families import build, relative_l2, tokenizer
from tests.reference.steering import random_vector
from tests.triton_kernels import GPU, needs_triton

CPU = torch.device("cpu")
here = pytest.mark.skipif(
    GPU, reason="the stand-in is for machines without a GPU; tests/gpu has the real thing"
)


@given(st.integers(1, 300), st.integers(1, 300))
def test_a_batch_takes_the_smallest_recording_that_holds_it(rows, most):
    """Small sizes one by one, then by eights up to the most; a larger batch has none."""
    sizes = buckets(most)
    assert sizes[-1] == most
    assert list(sizes) == sorted(set(sizes))
    size = bucket_of(rows, sizes)
    if rows > most:
        assert size is None
    else:
        assert rows <= size <= min(most, 8 * -(-rows // 8))
    assert buckets(40) == (1, 2, 4, 8, 16, 24, 32, 40)


def decode(*starts, new=1):
    rows = tuple(RowView(i, start, start + new, list(range(9))) for i, start in enumerate(starts))
    ids = [7 + i for i in range(len(rows))]
    return Batch(ids, list(starts), rows, list(range(len(rows))))


def test_only_steps_that_decode_are_replayed():
    """Prefill, too many rows, and rows beyond the block table run as always."""
    sizes = buckets(3)
    assert why_not(decode(4, 60), sizes, 9) is None
    assert why_not(decode(4, 60, new=2), sizes, 9) == "prefill"
    assert why_not(decode(1, 2, 3, 4), sizes, 9) == "too many rows"
    assert why_not(decode(4, 60), sizes, 8) == "too many blocks"


def test_rows_that_a_batch_lacks_see_nothing_and_write_to_waste():
    """And what was sent is what the tensors hold, whether or not the blocks changed."""
    batch = Batch([5, 6], [17, 3], (RowView(0, 17, 18, [4, 2, 8]), RowView(1, 3, 4, [1])), [0, 1])
    got = laid(batch, 4, 8, 999)
    assert got.longs_3R.tolist() == [[5, 6, 0, 0], [17, 3, 0, 0], [8 * 8 + 1, 8 + 3, 999, 999]]
    assert got.rows_R3.tolist() == [[0, 17, 18], [1, 3, 4], [2, 0, 0], [3, 0, 0]]
    assert got.blocks_RN.tolist() == [[4, 2, 8], [1, 0, 0], [0, 0, 0], [0, 0, 0]]
    inputs = Inputs(4, 12, 999, grid=Grid(4, 2, 1), device=CPU)
    assert inputs.slots_R.tolist() == [999] * 4
    for sent in (got, laid(decode(3, 4), 4, 8, 999), laid(decode(5, 6), 4, 8, 999)):
        inputs.send(sent)
        assert torch.stack([inputs.token_ids_R, inputs.positions_R, inputs.slots_R]).tolist() == (
            sent.longs_3R.tolist()
        )
        assert inputs.tables.rows_R3.tolist() == sent.rows_R3.tolist()
        longest = sent.blocks_RN.shape[1]
        assert np.array_equal(inputs.tables.blocks_RN[:, :longest].numpy(), sent.blocks_RN)


def code(i, records=1):
    return bytes([i]) * SIZE * records


@needs_triton
def test_instructions_stay_until_the_room_is_full():
    """The same code lies where it lay; a full shelf is emptied and holds this step's again; too much is refused."""
    from symposia.interp.kernels.shelf import Shelf

    shelf = Shelf(4, CPU)
    assert shelf.place([code(1), code(2, 2), code(1)]) == [0, 1, 0]
    assert shelf.place([code(2, 2), code(3)]) == [1, 3]
    assert shelf.emptied == 0
    assert shelf.place([code(4), code(3)]) == [0, 1]
    assert shelf.emptied == 1
    assert bytes(shelf.bytes[: 2 * SIZE].tolist()) == code(4) + code(3)
    assert shelf.place([code(i) for i in range(5)]) is None


ACCELERATED = Accelerator(Grid(tile=4, kv_heads=2, processors=2), Rerun())
PLAIN = msgspec.structs.replace(GREEDY, max_tokens=6, min_tokens=6)


def engine(family, *, accelerator=None, **options):
    chosen = EngineOptions(kv_bytes=1 << 22, runner="lean", native=accelerator is not None, **options)
    return Engine.adopt(
        build(family, "float32"), tokenizer(), family, options=chosen, accelerator=accelerator
    )


def graphs(made):
    return made._model.runner._graphs


def asks(made, wish):
    found = []
    for row in range(3):
        fields = wish(made, row)
        sampling = Sampling(**{**msgspec.structs.asdict(PLAIN), "max_tokens": 4 + row, "min_tokens": 4 + row})
        found.append(request(made, talk(3 + 4 * row, row), sampling=sampling, **fields))
    return found


def plain(_made, _row):
    return {}


def written(made, row):
    """One row has nothing, one is steered at all taps and read, one is written twice at a place and gated."""
    vector = random_vector(made, row).digest
    gate = Gate(vector=vector, layer=1, over=everything(), pool="each")
    return [
        {},
        {
            "interventions": tuple(
                Add(vector=vector, scale=1.5, site=site, layers=(0, 1, 3), where=speaking())
                for site in ("resid_pre", "resid_mid", "resid_post")
            ),
            "captures": (
                Capture(site="resid_post", layers=(0, 3), where=speaking()),
                Capture(site="resid_pre", layers=(2,), at="before", where=speaking()),
            ),
        },
        {
            "interventions": (
                Ablate(vector=vector, layers=(2,), where=speaking()),
                Add(vector=vector, scale=2.0, layers=(2,), where=speaking(), gate=gate),
            )
        },
    ][row]


@needs_triton
@here
@pytest.mark.timeout(600)
@pytest.mark.parametrize("wish", [plain, written])
@pytest.mark.parametrize("family", ["gemma2", "qwen2"])
def test_a_replayed_step_is_the_step(family, wish):
    """Three ragged rows that end one by one: the same tokens, receipts and activations as on torch's operators."""
    with engine(family, accelerator=ACCELERATED) as ours, engine(family) as theirs:
        got, expected = (answers(each, asks(each, wish)) for each in (ours, theirs))
        assert graphs(ours).replayed >= 3
        assert set(graphs(ours).eager) <= {"prefill"}
        for mine, known in zip(got, expected, strict=True):
            assert mine.token_ids == known.token_ids
            assert len(mine.receipts) == len(known.receipts)
            for one, other in zip(mine.receipts, known.receipts, strict=True):
                assert (one.status, one.tokens, one.runs) == (other.status, other.tokens, other.runs)
                for layer, same in zip(one.layers, other.layers, strict=True):
                    assert layer.delta_mean == pytest.approx(same.delta_mean, rel=1e-3)
                    assert layer.norm == pytest.approx(same.norm, rel=1e-3)
            for ref, same in zip(mine.activations, known.activations, strict=True):
                assert ref.runs == same.runs
                assert relative_l2(ours.store.at(ref), theirs.store.at(same)) <= 1e-4


@needs_triton
@here
@pytest.mark.timeout(600)
def test_a_site_without_a_tap_runs_the_step_as_always():
    """Steered at `mlp_out` beside a plain row: not replayed, not skipped."""

    def wish(made, row):
        vector = random_vector(made, 1, site="mlp_out").digest
        add = Add(vector=vector, scale=1.5, site="mlp_out", layers=(1,), where=speaking())
        return {"interventions": (add,)} if row == 1 else {}

    with engine("qwen2", accelerator=ACCELERATED) as ours, engine("qwen2") as theirs:
        got, expected = (answers(each, asks(each, wish)) for each in (ours, theirs))
        assert graphs(ours).eager["sites mlp_out"] >= 3
        assert graphs(ours).replayed >= 1  # the longest row outlives the steered one
    assert [each.token_ids for each in got] == [each.token_ids for each in expected]
    assert [r.status for r in got[1].receipts] == ["applied"]
