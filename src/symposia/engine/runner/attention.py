"""Attention of a ragged batch over block-paged keys and values, as transformers modules call it.

Axes: T flat tokens, n query tokens of a chunk, R decoding rows, L key positions, H query heads, K key heads,
d head size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from symposia.engine.blocks import Copy

from . import Batch, RowView

NAME = "symposia_paged"
KEYWORD = "symposia_step"


class KvStore:
    """Keys and values of all layers: `[slots + 1, K, d]` each, made at a layer's first use; slot = block·size + offset.

    The last slot is zero for ever: padding reads it, so that no row can meet what another left behind (0·NaN is NaN).
    """

    def __init__(self, blocks: int, size: int) -> None:
        self.size = size
        self.padding = blocks * size
        self._layers: dict[int, tuple[Tensor, Tensor]] = {}

    def layer(self, index: int, key_1KTd: Tensor, value_1KTd: Tensor) -> tuple[Tensor, Tensor]:
        """The layer's store, shaped like these keys and values."""
        if index not in self._layers:
            self._layers[index] = (self._empty(key_1KTd), self._empty(value_1KTd))
        return self._layers[index]

    def copy(self, copies: Sequence[Copy]) -> None:
        """Copy beginnings of blocks in every layer; all are read before any is written."""
        sources = [c.source * self.size + at for c in copies for at in range(c.length)]
        targets = [c.target * self.size + at for c in copies for at in range(c.length)]
        for pair in self._layers.values():
            for tensor in pair:
                tensor[targets] = tensor[sources]

    def _empty(self, like_1KTd: Tensor) -> Tensor:
        _, heads, _, size = like_1KTd.shape
        made = torch.empty(self.padding + 1, heads, size, dtype=like_1KTd.dtype, device=like_1KTd.device)
        made[self.padding] = 0
        return made


@dataclass(frozen=True)
class _Chunk:
    """A row with several query tokens: flat tokens `[offset, offset + n)`, slots of all its keys, its key mask."""

    offset: int
    n: int
    start: int
    slots_L: Tensor


class Step:
    """What attention needs of one batch: made once, used by every layer."""

    def __init__(self, batch: Batch, store: KvStore, device: torch.device) -> None:
        self.store, self._device = store, device
        self.slots_T = torch.tensor(
            [s for row in batch.rows for s in _slots(row, row.start, store.size)], device=device
        )
        decode = [row for row in batch.rows if row.stop - row.start == 1]
        self.chunks = [
            _Chunk(
                row.offset,
                row.stop - row.start,
                row.start,
                torch.tensor(_slots(row, 0, store.size), device=device),
            )
            for row in batch.rows
            if row.stop - row.start > 1
        ]
        self.decode_R = torch.tensor([row.offset for row in decode], dtype=torch.long, device=device)
        self._pad(decode)

    def _pad(self, decode: list[RowView]) -> None:
        longest = max((row.stop for row in decode), default=0)
        padded = [
            _slots(row, 0, self.store.size) + [self.store.padding] * (longest - row.stop) for row in decode
        ]
        self.decode_slots_RL = torch.tensor(padded, dtype=torch.long, device=self._device).reshape(
            len(decode), longest
        )
        self.lengths_R = torch.tensor([row.stop for row in decode], device=self._device)

    def decode_mask(self, window: int | None) -> Tensor:
        """`[R, L]`: True where a decoding row may look."""
        at_L = torch.arange(self.decode_slots_RL.shape[1], device=self._device)
        seen_RL = at_L[None] < self.lengths_R[:, None]
        return seen_RL if window is None else seen_RL & (at_L[None] >= self.lengths_R[:, None] - window)

    def chunk_mask(self, chunk: _Chunk, window: int | None) -> Tensor:
        """`[n, L]`: causal, within the window."""
        query_n = torch.arange(chunk.start, chunk.start + chunk.n, device=self._device)
        key_L = torch.arange(len(chunk.slots_L), device=self._device)
        seen_nL = key_L[None] <= query_n[:, None]
        return seen_nL if window is None else seen_nL & (key_L[None] > query_n[:, None] - window)


def paged_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,  # noqa: ARG001  transformers' signature; ours is in the step
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    **kwargs: object,
) -> tuple[Tensor, None]:
    """The function registered with transformers: `[1, H, T, d]` in, `[1, T, H, d]` out. Writes K/V, then attends."""
    step = kwargs[KEYWORD]
    assert isinstance(step, Step)
    layer = module.layer_idx
    assert isinstance(layer, int)
    keys, values = step.store.layer(layer, key, value)
    keys[step.slots_T], values[step.slots_T] = key[0].transpose(0, 1), value[0].transpose(0, 1)
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    out_THd = query.new_empty(query.shape[2], query.shape[1], value.shape[-1])
    for chunk in step.chunks:
        q_HTd = query[0, :, chunk.offset : chunk.offset + chunk.n]
        k_KLd, v_KLd = keys[chunk.slots_L].transpose(0, 1), values[chunk.slots_L].transpose(0, 1)
        mask_TL = step.chunk_mask(chunk, sliding_window)
        o_HTd = _attend(q_HTd[None], k_KLd[None], v_KLd[None], mask_TL[None, None], scale, softcap)[0]
        out_THd[chunk.offset : chunk.offset + chunk.n] = o_HTd.transpose(0, 1)
    if len(step.decode_R):
        q_RH1d = query[0, :, step.decode_R].transpose(0, 1)[:, :, None]
        k_RKLd = keys[step.decode_slots_RL].transpose(1, 2)
        v_RKLd = values[step.decode_slots_RL].transpose(1, 2)
        mask_RL = step.decode_mask(sliding_window)
        o_RH1d = _attend(q_RH1d, k_RKLd, v_RKLd, mask_RL[:, None, None], scale, softcap)
        out_THd[step.decode_R] = o_RH1d[:, :, 0]
    return out_THd[None], None


def _attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor, scale: float, softcap: float | None) -> Tensor:
    """Attention `[N, H, n, d]` of grouped heads; a key head sees its query heads as further query tokens.

    Softmax in at least fp32.
    """
    rows, heads, n, size = q.shape
    groups = heads // k.shape[1]
    q = q.reshape(rows, k.shape[1], groups * n, size)
    mask = mask if n == 1 else mask.repeat(1, 1, groups, 1)
    if softcap is None:
        out = scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=scale)
    else:
        scores = (q @ k.transpose(-1, -2)) * scale
        scores = (scores / softcap).tanh() * softcap
        scores = scores.masked_fill(~mask, -torch.inf)
        out = scores.softmax(dim=-1, dtype=torch.promote_types(scores.dtype, torch.float32)).to(q.dtype) @ v
    return out.reshape(rows, heads, n, v.shape[-1])


def _slots(row: RowView, start: int, size: int) -> list[int]:
    return [row.blocks[p // size] * size + p % size for p in range(start, row.stop)]
