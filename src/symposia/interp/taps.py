"""What `interp` may ask of a model's inside: a small Protocol that the engine implements."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol

import torch
from torch import Tensor, nn

from symposia.core.capture import Site
from symposia.core.request import Completion, Request
from symposia.core.value import Value

BLOCK_SITES: tuple[Site, ...] = ("resid_pre", "z", "attn_out", "resid_mid", "mlp_out", "resid_post")
WITHIN: tuple[Site, ...] = ("q", "k", "v", "pattern")  # of attention
UNWRITTEN: tuple[Site, ...] = ("pattern", "final", "logits")
LAYERLESS: tuple[Site, ...] = ("final", "logits")


class ModelShape(Value, frozen=True, kw_only=True):
    """A loaded model as vectors and selectors need to know it. `width` is the residual's, `name` its address."""

    name: str
    digest: str
    template: str
    tokenizer: str
    type: str
    layers: int
    width: int
    vocabulary: int
    dtype: str


class Heads(Value, frozen=True, kw_only=True):
    """One layer's attention: `query` heads and `key` heads of `size` numbers each."""

    query: int
    key: int
    size: int


class SiteMap(Value, frozen=True, kw_only=True):
    """Where the model can be written and read: `supported` layers by site, `()` for those that take none.

    `width` is the residual's; `heads` and `experts` (0: none) are read layer by layer.
    """

    supported: dict[Site, tuple[int, ...]]
    layers: int
    width: int
    vocabulary: int
    heads: tuple[Heads, ...]
    experts: tuple[int, ...] = ()

    @property
    def writable(self) -> tuple[Site, ...]:
        """Sites that interventions may name."""
        return tuple(site for site in self.supported if site not in UNWRITTEN)

    @property
    def readable(self) -> tuple[Site, ...]:
        """Sites that captures may name."""
        return tuple(self.supported)

    @property
    def widest(self) -> int:
        """Numbers of the widest place that can be written."""
        own = (self.width_at(site, layer) for site in self.writable for layer in self.supported[site])
        return max([self.width, *own])

    def heads_at(self, site: Site, layer: int | None) -> int:
        """Into how many heads a token's numbers fall there; 0 where there are none."""
        if layer is None or not self.heads:
            return 0
        match site:
            case "z" | "q" | "pattern":
                return self.heads[layer].query
            case "k" | "v":
                return self.heads[layer].key
        return 0

    def width_at(self, site: Site, layer: int | None) -> int:
        """Numbers a token has there: what a vector for that place must have.

        Where there are heads, they lie side by side; at `pattern` it is the numbers for each key.
        """
        if site == "logits":
            return self.vocabulary
        if site == "router" and layer is not None:
            return self.experts[layer]
        heads = self.heads_at(site, layer)
        if site == "pattern":
            return heads
        return heads * self.heads[layer].size if heads and layer is not None else self.width


class Unembeds(Protocol):
    """The end of one model: enough to read stored residuals as words."""

    @property
    def shape(self) -> ModelShape:
        """Names, sizes, digests."""
        ...

    @property
    def device(self) -> torch.device:
        """Where it computes: rows that are there already need not travel."""
        ...

    def norm_and_unembed(self, hidden_ND: Tensor) -> Tensor:
        """`logits_NV` of residuals that leave the last block, softcap and scale included, on their device."""
        ...

    def tokens_of(self, text: str) -> tuple[int, ...]:
        """Ids of a text that stands alone, no special tokens added."""
        ...

    def spelled(self, token_ids: Sequence[int]) -> tuple[str, ...]:
        """Each token's own text."""
        ...


class WhiteBox(Unembeds, Protocol):
    """The inside of one loaded model."""

    @property
    def site_map(self) -> SiteMap:
        """Supported sites."""
        ...

    async def replay(self, request: Request, token_ids: Sequence[int]) -> Completion:
        """The request as though these tokens had been sampled: same positions, same writes, its captures of them."""
        ...

    def exclusive(self) -> AbstractContextManager[nn.Module]:
        """Finish what runs, hold back what waits, and lend the module: for gradients, and for its weights."""
        ...
