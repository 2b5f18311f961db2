"""Attention over block-paged keys and values on CUDA: ragged rows, grouped heads, windows, softcaps, causal.

One program takes a tile of query tokens with all query heads of one key head, and walks over the keys. Rows that decode
are cut along their keys as well; a second kernel joins the parts.

Axes: T flat tokens, H query heads, K key heads, d and e sizes of a key and a value, S slots; M lanes (query token and
head), L keys of a round.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from symposia.engine.runner.attention import View
from symposia.interp.kernels.instructions import tanh

from .tables import Tables


@triton.jit
def _scores(
    q_Md: tl.tensor,
    k_dL: tl.tensor,
    at_L: tl.tensor,
    last: tl.tensor,
    position_M: tl.tensor,
    scale: tl.tensor,
    softcap: tl.tensor,
    WINDOW: tl.constexpr,
    CAPPED: tl.constexpr,
) -> tl.tensor:
    """Scaled and capped; -inf where a query may not look."""
    s_ML = tl.dot(q_Md, k_dL, input_precision="ieee") * scale
    if CAPPED:
        s_ML = softcap * tanh(s_ML / softcap)
    seen_ML = (at_L[None, :] <= position_M[:, None]) & (at_L[None, :] < last)
    if WINDOW > 0:
        seen_ML = seen_ML & (at_L[None, :] > position_M[:, None] - WINDOW)
    return tl.where(seen_ML, s_ML, -float("inf"))


@triton.jit
def _attend(
    query: tl.tensor,
    keys: tl.tensor,
    values: tl.tensor,
    out: tl.tensor,
    part: tl.tensor,
    rows: tl.tensor,
    blocks: tl.tensor,
    tiles: tl.tensor,
    longest: tl.tensor,
    q_token: tl.tensor,
    q_head: tl.tensor,
    tokens: tl.tensor,
    scale: tl.tensor,
    softcap: tl.tensor,
    KV_HEADS: tl.constexpr,
    GROUP: tl.constexpr,
    SIZE: tl.constexpr,
    OUT: tl.constexpr,
    SIZE2: tl.constexpr,
    OUT2: tl.constexpr,
    TILE: tl.constexpr,
    LANES: tl.constexpr,
    ROUND: tl.constexpr,
    PAGE: tl.constexpr,
    WINDOW: tl.constexpr,
    CAPPED: tl.constexpr,
    SPLITS: tl.constexpr,
) -> None:
    """Program (tile, key head, part). Parts are `part[SPLITS, T, H, OUT + 2]`: unscaled sums, maximum, weight."""
    head, split = tl.program_id(1), tl.program_id(2)
    row, begin = tl.load(tiles + 2 * tl.program_id(0)), tl.load(tiles + 2 * tl.program_id(0) + 1)
    offset, start = tl.load(rows + 3 * row), tl.load(rows + 3 * row + 1)
    stop = tl.load(rows + 3 * row + 2)
    lane_M, at_d, at_e = tl.arange(0, LANES), tl.arange(0, SIZE2), tl.arange(0, OUT2)
    position_M = start + begin + lane_M // GROUP
    real_M = (lane_M < TILE * GROUP) & (position_M < stop)
    token_M = (offset + begin + lane_M // GROUP).to(tl.int64)
    head_M = head * GROUP + lane_M % GROUP
    q_Md = tl.load(
        query + (token_M * q_token + head_M * q_head)[:, None] + at_d[None, :],
        mask=real_M[:, None] & (at_d < SIZE)[None, :],
        other=0.0,
    )
    first, last = 0, tl.minimum(stop, start + begin + TILE)
    if WINDOW > 0:
        first = tl.maximum(0, start + begin - WINDOW + 1) // ROUND * ROUND
    each = tl.cdiv(tl.cdiv(last - first, ROUND), SPLITS) * ROUND
    first += split * each
    last = tl.minimum(last, first + each)
    most_M = tl.full((LANES,), -float("inf"), tl.float32)
    weight_M = tl.zeros((LANES,), tl.float32)
    sum_Me = tl.zeros((LANES, OUT2), tl.float32)
    for now in range(first, last, ROUND):
        at_L = now + tl.arange(0, ROUND)
        block_L = tl.load(blocks + row.to(tl.int64) * longest + at_L // PAGE, mask=at_L < last, other=0)
        slot_L = (block_L.to(tl.int64) * PAGE + at_L % PAGE) * KV_HEADS + head
        k_dL = tl.load(
            keys + slot_L[None, :] * SIZE + at_d[:, None],
            mask=(at_L < last)[None, :] & (at_d < SIZE)[:, None],
            other=0.0,
        )
        s_ML = _scores(q_Md, k_dL, at_L, last, position_M, scale, softcap, WINDOW, CAPPED)
        higher_M = tl.maximum(most_M, tl.max(s_ML, axis=1))
        safe_M = tl.where(higher_M == -float("inf"), 0.0, higher_M)
        p_ML, shrink_M = tl.exp(s_ML - safe_M[:, None]), tl.exp(most_M - safe_M)
        v_Le = tl.load(
            values + slot_L[:, None] * OUT + at_e[None, :],
            mask=(at_L < last)[:, None] & (at_e < OUT)[None, :],
            other=0.0,
        )
        sum_Me = sum_Me * shrink_M[:, None] + tl.dot(p_ML.to(v_Le.dtype), v_Le, input_precision="ieee")
        weight_M = weight_M * shrink_M + tl.sum(p_ML, axis=1)
        most_M = higher_M
    place_M = token_M * (KV_HEADS * GROUP) + head_M
    told_M = real_M | ((lane_M < GROUP) & (start == stop))  # an empty row of a recording finds 0
    mask_Me = told_M[:, None] & (at_e < OUT)[None, :]
    if SPLITS == 1:
        found_Me = sum_Me / tl.where(weight_M == 0, 1.0, weight_M)[:, None]
        tl.store(
            out + place_M[:, None] * OUT + at_e[None, :], found_Me.to(out.dtype.element_ty), mask=mask_Me
        )
    else:
        mine = part + (split.to(tl.int64) * tokens * (KV_HEADS * GROUP) + place_M) * (OUT + 2)
        tl.store(mine[:, None] + at_e[None, :], sum_Me, mask=mask_Me)
        tl.store(mine + OUT, most_M, mask=told_M)
        tl.store(mine + OUT + 1, weight_M, mask=told_M)


@triton.jit
def _join(
    part: tl.tensor,
    out: tl.tensor,
    rows: tl.tensor,
    tiles: tl.tensor,
    tokens: tl.tensor,
    HEADS: tl.constexpr,
    OUT: tl.constexpr,
    OUT2: tl.constexpr,
    SPLITS: tl.constexpr,
) -> None:
    """Program (tile, query head) joins the parts of one decoding token's head."""
    token = tl.load(rows + 3 * tl.load(tiles + 2 * tl.program_id(0))).to(tl.int64)
    place = token * HEADS + tl.program_id(1)
    at_S, at_e = tl.arange(0, SPLITS), tl.arange(0, OUT2)
    mine_S = part + (at_S.to(tl.int64) * tokens * HEADS + place) * (OUT + 2)
    most_S, weight_S = tl.load(mine_S + OUT), tl.load(mine_S + OUT + 1)
    highest = tl.max(most_S)
    share_S = tl.exp(most_S - tl.where(highest == -float("inf"), 0.0, highest))
    sum_Se = tl.load(mine_S[:, None] + at_e[None, :], mask=(at_e < OUT)[None, :], other=0.0)
    weight = tl.sum(share_S * weight_S)
    found_e = tl.sum(sum_Se * share_S[:, None], axis=0) / tl.where(weight == 0, 1.0, weight)
    tl.store(out + place * OUT + at_e, found_e.to(out.dtype.element_ty), mask=at_e < OUT)


def paged(
    tables: Tables,
    query_THd: Tensor,
    keys_SKd: Tensor,
    values_SKe: Tensor,
    page: int,
    *,
    view: View,
) -> Tensor:
    """`[T, H, e]`: what every token of the batch finds among the keys of its row up to itself. Softmax in fp32.

    Keys and values are contiguous and hold the batch's own already.
    """
    heads, kv_heads = query_THd.shape[1], keys_SKd.shape[1]
    out_THe = query_THd.new_empty(*query_THd.shape[:2], values_SKe.shape[-1])
    if query_THd.stride(-1) != 1:
        query_THd = query_THd.contiguous()
    for tiles_P2, tile, splits in (
        (tables.decoding_P2, 1, tables.splits),
        (tables.chunked_P2, tables.tile, 1),
    ):
        if not len(tiles_P2):
            continue
        part = out_THe
        if splits > 1:
            shape = (splits, *out_THe.shape[:2], out_THe.shape[2] + 2)
            part = out_THe.new_empty(shape, dtype=torch.float32)
        _attend[(len(tiles_P2), kv_heads, splits)](
            *(query_THd, keys_SKd, values_SKe, out_THe, part, tables.rows_R3, tables.blocks_RN, tiles_P2),
            *(tables.blocks_RN.stride(0), query_THd.stride(0), query_THd.stride(1), len(query_THd)),
            *(view.scale, view.softcap or 1.0),
            KV_HEADS=kv_heads,
            GROUP=heads // kv_heads,
            SIZE=keys_SKd.shape[2],
            OUT=values_SKe.shape[2],
            SIZE2=max(16, triton.next_power_of_2(keys_SKd.shape[2])),
            OUT2=max(16, triton.next_power_of_2(values_SKe.shape[2])),
            TILE=tile,
            LANES=max(16, triton.next_power_of_2(tile * heads // kv_heads)),
            ROUND=32 if keys_SKd.shape[2] > 128 or query_THd.dtype == torch.float32 else 64,
            PAGE=page,
            WINDOW=view.window or 0,
            CAPPED=view.softcap is not None,
            SPLITS=splits,
            num_stages=2,  # within the shared memory of smaller GPUs too
        )
        if splits > 1:
            _join[(len(tiles_P2), heads)](
                *(part, out_THe, tables.rows_R3, tiles_P2, len(query_THd)),
                HEADS=heads,
                OUT=out_THe.shape[2],
                OUT2=triton.next_power_of_2(out_THe.shape[2]),
                SPLITS=splits,
            )
    return out_THe
