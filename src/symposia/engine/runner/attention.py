"""Attention of a ragged batch over block-paged keys and values, as transformers modules call it.

Axes: T flat tokens, n query tokens of a chunk, R decoding rows, L key positions, H query heads, K key heads,
d head size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from symposia.engine.blocks import Copy
from symposia.engine.kernels.tables import Grid, Tables, tables

from . import Batch, RowView


class KvStore:
    """Keys and values of all layers: `[slots + 2, K, d]` each, made at a layer's first use; slot = block·size + offset.

    The slot `padding` is zero for ever: padding reads it, so that no row can meet what another left behind (0·NaN is
    NaN). The slot `waste` takes what rows write that are only there to fill a batch; nobody reads it.
    """

    def __init__(self, blocks: int, size: int, *, eager: bool = False) -> None:
        """`eager`: the product with the keys, its softmax and the sum of values as separate operators."""
        self.size, self.eager = size, eager
        self.padding, self.waste = blocks * size, blocks * size + 1
        self._layers: dict[int, tuple[Tensor, Tensor]] = {}

    def layer(self, index: int, key_TKd: Tensor, value_TKd: Tensor) -> tuple[Tensor, Tensor]:
        """The layer's store, shaped like these keys and values."""
        if index not in self._layers:
            self._layers[index] = (self._empty(key_TKd), self._empty(value_TKd))
        return self._layers[index]

    def copy(self, copies: Sequence[Copy]) -> None:
        """Copy beginnings of blocks in every layer; all are read before any is written."""
        sources = [c.source * self.size + at for c in copies for at in range(c.length)]
        targets = [c.target * self.size + at for c in copies for at in range(c.length)]
        for pair in self._layers.values():
            for tensor in pair:
                tensor[targets] = tensor[sources]

    def _empty(self, like_TKd: Tensor) -> Tensor:
        made = like_TKd.new_empty(self.padding + 2, *like_TKd.shape[1:])
        made[self.padding] = 0
        return made


@dataclass(frozen=True)
class _Chunk:
    """A row with several query tokens: flat tokens `[offset, offset + n)`, slots of all its keys, its key mask."""

    offset: int
    n: int
    start: int
    slots_L: Tensor


@dataclass(frozen=True)
class _Decoding:
    """Rows with one query token: flat tokens, slots of all their keys, padded, and how many keys there are."""

    tokens_R: Tensor
    slots_RL: Tensor
    lengths_R: Tensor


class Step:
    """What attention needs of one batch: made once, used by every layer.

    With a `grid`, Triton's kernel attends, by `tables`; without, torch's operators, by `chunks` and `decoding`.
    """

    def __init__(
        self, batch: Batch, store: KvStore, device: torch.device, *, grid: Grid | None = None
    ) -> None:
        self.store, self._device, self._rows = store, device, batch.rows
        self.slots_T = torch.tensor(
            [s for row in batch.rows for s in _slots(row, row.start, store.size)], device=device
        )
        self.tables = None if grid is None else tables(batch.rows, grid, device)
        self._masks: dict[tuple[int | None, int | None], Tensor] = {}

    @cached_property
    def chunks(self) -> list[_Chunk]:
        """Rows with several query tokens."""
        return [
            _Chunk(
                row.offset,
                row.stop - row.start,
                row.start,
                torch.tensor(_slots(row, 0, self.store.size), device=self._device),
            )
            for row in self._rows
            if row.stop - row.start > 1
        ]

    @cached_property
    def decoding(self) -> _Decoding:
        """Rows with one."""
        rows = [row for row in self._rows if row.stop - row.start == 1]
        longest = max((row.stop for row in rows), default=0)
        padding = self.store.padding
        padded = [_slots(row, 0, self.store.size) + [padding] * (longest - row.stop) for row in rows]
        return _Decoding(
            torch.tensor([row.offset for row in rows], dtype=torch.long, device=self._device),
            torch.tensor(padded, dtype=torch.long, device=self._device).reshape(len(rows), longest),
            torch.tensor([row.stop for row in rows], device=self._device),
        )

    def masked(self, window: int | None, chunk: _Chunk | None) -> Tensor:
        """The mask of a chunk, or of the decoding rows; made once a step for all layers of one window."""
        key = (window, None if chunk is None else chunk.offset)
        if key not in self._masks:
            self._masks[key] = self.decode_mask(window) if chunk is None else self.chunk_mask(chunk, window)
        return self._masks[key]

    def decode_mask(self, window: int | None) -> Tensor:
        """`[R, L]`: True where a decoding row may look."""
        lengths_R1 = self.decoding.lengths_R[:, None]
        at_1L = torch.arange(self.decoding.slots_RL.shape[1], device=self._device)[None]
        seen_RL = at_1L < lengths_R1
        return seen_RL if window is None else seen_RL & (at_1L >= lengths_R1 - window)

    def chunk_mask(self, chunk: _Chunk, window: int | None) -> Tensor:
        """`[n, L]`: causal, within the window."""
        query_n = torch.arange(chunk.start, chunk.start + chunk.n, device=self._device)
        key_L = torch.arange(len(chunk.slots_L), device=self._device)
        seen_nL = key_L[None] <= query_n[:, None]
        return seen_nL if window is None else seen_nL & (key_L[None] > query_n[:, None] - window)


@dataclass(frozen=True)
class Fixed:
    """What Triton's kernel needs of a batch, in tensors that stay: of a step that is recorded."""

    store: KvStore
    slots_T: Tensor
    tables: Tables


@dataclass(frozen=True)
class View:
    """How one layer looks at its keys: scale of the scores, how far back, softcap of the scores."""

    scale: float
    window: int | None
    softcap: float | None


def attend(
    step: Step | Fixed, layer: int, query_THd: Tensor, key_TKd: Tensor, value_TKd: Tensor, *, view: View
) -> Tensor:
    """Writes K/V of every flat token, then attends, row by row of the batch; `[T, H, d]`."""
    keys, values = step.store.layer(layer, key_TKd, value_TKd)
    keys.index_copy_(0, step.slots_T, key_TKd)
    values.index_copy_(0, step.slots_T, value_TKd)
    if isinstance(step, Step) and step.tables is None:
        return _by_torch(step, query_THd, keys, values, view)
    assert step.tables is not None
    from symposia.engine.kernels.attention import paged

    return paged(step.tables, query_THd, keys, values, step.store.size, view=view)


def _by_torch(step: Step, query_THd: Tensor, keys: Tensor, values: Tensor, view: View) -> Tensor:
    out_THd = query_THd.new_empty(*query_THd.shape[:2], values.shape[-1])
    for chunk in step.chunks:
        q_HTd = query_THd[chunk.offset : chunk.offset + chunk.n].transpose(0, 1)
        k_KLd, v_KLd = (x.index_select(0, chunk.slots_L).transpose(0, 1) for x in (keys, values))
        mask_TL = step.masked(view.window, chunk)
        o_HTd = _attend(
            q_HTd[None], k_KLd[None], v_KLd[None], mask_TL[None, None], view, eager=step.store.eager
        )[0]
        out_THd[chunk.offset : chunk.offset + chunk.n] = o_HTd.transpose(0, 1)
    decoding = step.decoding
    if len(decoding.tokens_R):
        q_RH1d = query_THd.index_select(0, decoding.tokens_R)[:, :, None]
        shape = (*decoding.slots_RL.shape, *keys.shape[1:])
        at = decoding.slots_RL.view(-1)
        k_RKLd = keys.index_select(0, at).view(shape).transpose(1, 2)
        v_RKLd = values.index_select(0, at).view(*shape[:3], -1).transpose(1, 2)
        mask_RL = step.masked(view.window, None)
        o_RH1d = _attend(q_RH1d, k_RKLd, v_RKLd, mask_RL[:, None, None], view, eager=step.store.eager)
        out_THd[decoding.tokens_R] = o_RH1d[:, :, 0]
    return out_THd


def _attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor, view: View, *, eager: bool) -> Tensor:
    """Attention `[N, H, n, d]` of grouped heads; a key head sees its query heads as further query tokens.

    Softmax in at least fp32.
    """
    rows, heads, n, size = q.shape
    groups = heads // k.shape[1]
    q = q.reshape(rows, k.shape[1], groups * n, size)
    mask = mask if n == 1 else mask.repeat(1, 1, groups, 1)
    if view.softcap is None and not eager:
        out = scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=view.scale)
    else:
        scores = (q @ k.transpose(-1, -2)) * view.scale
        if view.softcap is not None:
            scores = (scores / view.softcap).tanh() * view.softcap
        scores = scores.masked_fill(~mask, -torch.inf)
        out = scores.softmax(dim=-1, dtype=torch.promote_types(scores.dtype, torch.float32)).to(q.dtype) @ v
    return out.reshape(rows, heads, n, v.shape[-1])


def _slots(row: RowView, start: int, size: int) -> list[int]:
    return [row.blocks[p // size] * size + p % size for p in range(start, row.stop)]
