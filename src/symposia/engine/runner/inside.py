"""Sites within attention: queries, keys and values as the product has them, and the attention rows they make.

Axes: T flat tokens, N some of them, H query heads, K key heads, d head size, L keys of the row.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from symposia.core.capture import Site
from symposia.interp.apply import StepWork
from symposia.interp.plan import Point

from .attention import Fixed, Step, View, attend

NAME = "symposia_paged"
KEYWORD, WORK = "symposia_step", "symposia_work"


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
    work = kwargs[WORK]
    assert isinstance(step, Step)
    assert isinstance(work, StepWork)
    layer = module.layer_idx
    assert isinstance(layer, int)
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    view = View(scale, sliding_window, softcap)
    query_THd, key_TKd, value_TKd = (x[0].transpose(0, 1) for x in (query, key, value))
    return attend_openly(step, work, layer, (query_THd, key_TKd, value_TKd), view)[None], None


class Visits(Protocol):
    """What a forward passes its sites through: a step's `StepWork`, or the taps of a recording."""

    @property
    def points(self) -> frozenset[Point]:
        """Sites and layers that must be visited."""
        ...

    def visit(self, point: Point, hidden_TD: Tensor, *, owned: bool = False) -> Tensor:
        """What continues from a site."""
        ...

    def within(self, layer: int) -> bool:
        """Whether something is wanted within a layer's attention."""
        ...

    def tokens_at(self, point: Point) -> list[int]:
        """Flat tokens that are wanted at a site that is computed on demand."""
        ...

    def visit_rows(self, point: Point, tokens: list[int], rows: Tensor) -> None:
        """Hand over what was computed for some flat tokens."""
        ...


def attend_openly(
    step: Step | Fixed, work: Visits, layer: int, heads: tuple[Tensor, Tensor, Tensor], view: View
) -> Tensor:
    """`attend` over (`query_THd`, `key_TKd`, `value_TKd`), past the sites `q`, `k`, `v` and `pattern` of a layer."""
    query_THd, key_TKd, value_TKd = heads
    if not work.within(layer):
        return attend(step, layer, query_THd, key_TKd, value_TKd, view=view)
    query_THd = _visited(work, "q", layer, query_THd)
    key_TKd, value_TKd = _visited(work, "k", layer, key_TKd), _visited(work, "v", layer, value_TKd)
    out_THd = attend(step, layer, query_THd, key_TKd, value_TKd, view=view)
    if tokens := work.tokens_at(("pattern", layer)):
        assert isinstance(step, Step)
        keys = step.store.layer(layer, key_TKd, value_TKd)[0]
        work.visit_rows(("pattern", layer), tokens, _pattern(step, tokens, query_THd, keys, view))
    return out_THd


def _visited(work: Visits, site: Site, layer: int, x_THd: Tensor) -> Tensor:
    flat_TX = x_THd.reshape(len(x_THd), -1)
    visited_TX = work.visit((site, layer), flat_TX)
    return x_THd if visited_TX is flat_TX else visited_TX.view(x_THd.shape)


def _pattern(step: Step, tokens: list[int], query_THd: Tensor, keys: Tensor, view: View) -> Tensor:
    """`[N, H, L]` of some tokens, L of the longest; keys past a token's own position have weight 0."""
    rows: dict[int, Tensor] = {}
    for chunk in step.chunks:
        at = [t for t in tokens if chunk.offset <= t < chunk.offset + chunk.n]
        mask_nL = step.masked(view.window, chunk)
        for t in at:
            rows[t] = _row(query_THd[t], keys[chunk.slots_L], mask_nL[t - chunk.offset], view)
    decoding = step.decoding
    for r, t in enumerate(decoding.tokens_R.tolist()):
        if t in tokens:
            mask_L = step.masked(view.window, None)[r]
            rows[t] = _row(query_THd[t], keys[decoding.slots_RL[r]], mask_L, view)
    longest = max(row.shape[1] for row in rows.values())
    return torch.stack([pad(rows[t], (0, longest - rows[t].shape[1])) for t in tokens])


def _row(query_Hd: Tensor, keys_LKd: Tensor, mask_L: Tensor, view: View) -> Tensor:
    """One token's attention `[H, L]`, softmax in at least fp32."""
    dtype = torch.promote_types(query_Hd.dtype, torch.float32)
    groups = len(query_Hd) // keys_LKd.shape[1]
    keys_LHd = keys_LKd.to(dtype).repeat_interleave(groups, dim=1)
    scores_HL = torch.einsum("hd,lhd->hl", query_Hd.to(dtype), keys_LHd) * view.scale
    if view.softcap is not None:
        scores_HL = (scores_HL / view.softcap).tanh() * view.softcap
    return scores_HL.masked_fill(~mask_L, -torch.inf).softmax(dim=-1).to(query_Hd.dtype)
