"""The attention kernel for CUDA and the one of torch's operators are one thing, for any batch over any blocks."""

from __future__ import annotations

import random

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from symposia.engine.kernels.tables import Grid, tables
from symposia.engine.runner import Batch, RowView
from symposia.engine.runner.attention import KvStore, Step, View, attend
from tests.triton_kernels import DEVICE, GPU, few_examples, needs_triton

PAGE, BLOCKS = 8, 64
HALF = torch.bfloat16 if GPU else torch.float16  # the interpreter multiplies bf16 by its bits
row = st.tuples(st.integers(0, 40), st.sampled_from([1, 1, 2, 5, 23]))  # positions held before, new ones
heads = st.sampled_from([(4, 4), (4, 2), (6, 2), (7, 1)])
views = st.builds(
    View,
    st.sampled_from([0.3, 1.0]),
    st.sampled_from([None, 1, 7, 16]),
    st.sampled_from([None, 2.0]),
)


def batch_of(rows, seed):
    """Rows over scattered blocks; decoding ones and chunks mixed."""
    free = list(range(BLOCKS))
    random.Random(seed).shuffle(free)
    made, positions = [], []
    for start, n in rows:
        count = -(-(start + n) // PAGE)
        made.append(RowView(len(positions), start, start + n, [free.pop() for _ in range(count)]))
        positions += range(start, start + n)
    return Batch([0] * len(positions), positions, tuple(made), [])


def attended(batch, shape, view, dtype, seed, *, grid):
    """What comes out, and the keys that lie in the store then."""
    (heads, kv_heads), size, out = shape
    generator = torch.Generator().manual_seed(seed)

    def random_of(*shape):
        return torch.randn(*shape, generator=generator).to(DEVICE, dtype)

    store = KvStore(BLOCKS, PAGE)
    keys, values = store.layer(0, random_of(1, kv_heads, size), random_of(1, kv_heads, out))
    for each in (keys, values):
        each[: store.padding] = random_of(store.padding, *each.shape[1:])
    fused_TX = random_of(
        len(batch.positions), (heads + kv_heads) * size
    )  # the kernel reads a part of a whole
    both_THd = fused_TX.view(len(batch.positions), heads + kv_heads, size)
    value_TKe = random_of(len(batch.positions), kv_heads, out)
    step = Step(batch, store, DEVICE, grid=grid)
    found = attend(step, 0, both_THd[:, :heads], both_THd[:, heads:], value_TKe, view=view)
    return found.float().cpu(), keys[: store.waste].float().cpu()


@needs_triton
@pytest.mark.parametrize(("dtype", "bar"), [(torch.float32, 2e-5), (HALF, 3e-2)])
@given(
    rows=st.lists(row, min_size=1, max_size=5),
    heads=heads,
    sizes=st.sampled_from([(16, 16), (24, 8), (64, 64)]),
    view=views,
    processors=st.sampled_from([1, 8, 40]),
    tile=st.sampled_from([1, 4, 16]),
    seed=st.integers(0, 99),
)
@example(rows=[(39, 1)], heads=(7, 1), sizes=(16, 16), view=View(1.0, 7, None), processors=40, tile=4, seed=0)
@few_examples
def test_the_kernel_attends_as_torch_does(dtype, bar, rows, heads, sizes, view, processors, tile, seed):
    """Ragged chunks and decoding rows, grouped heads, windows, softcaps, cut keys: the same output, the same K/V."""
    batch, shape = batch_of(rows, seed), (heads, *sizes)
    grid = Grid(tile=tile, kv_heads=heads[1], processors=processors)
    ours, stored = attended(batch, shape, view, dtype, seed, grid=grid)
    plain, expected = attended(batch, shape, view, dtype, seed, grid=None)
    assert ours.shape == plain.shape
    assert float((ours - plain).abs().amax()) <= bar * float(1.0 + plain.abs().amax())
    assert stored.equal(expected)


def test_few_rows_are_cut_and_many_are_not():
    """Enough programs for every processor twice; a power of two, as the joining kernel needs."""
    grid = Grid(tile=16, kv_heads=8, processors=132)
    assert [grid.splits(rows) for rows in (1, 2, 4, 8, 16, 33, 128)] == [32, 32, 16, 8, 4, 1, 1]
    assert Grid(tile=16, kv_heads=1, processors=1000).splits(1) == 32


@needs_triton
@pytest.mark.parametrize("processors", [1, 40])
def test_an_empty_row_finds_nothing_and_harms_nobody(processors):
    """Rows that only fill a recording get 0, cut or not, beside a row that attends as alone."""
    from symposia.engine.kernels.attention import paged

    grid, generator = Grid(tile=4, kv_heads=2, processors=processors), torch.Generator().manual_seed(0)
    query_THd = torch.randn(2, 4, 16, generator=generator).to(DEVICE)
    keys, values = (torch.randn(BLOCKS * PAGE, 2, 16, generator=generator).to(DEVICE) for _ in range(2))
    row = RowView(0, 20, 21, [5, 1, 7])
    view = View(0.25, None, None)
    both = paged(tables([row, RowView(1, 0, 1, [0])], grid, DEVICE), query_THd, keys, values, PAGE, view=view)
    filled = tables([row, RowView(1, 0, 1, [0])], grid, DEVICE)
    filled.rows_R3[1, 2] = 0
    got = paged(filled, query_THd, keys, values, PAGE, view=view)
    assert got[0].equal(both[0])
    assert not got[1].any()
    assert both[1].any()
