"""What `interp` may ask of a model's inside: a small Protocol that the engine implements."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol

from torch import Tensor, nn

from symposia.core.capture import Site
from symposia.core.value import Value

BLOCK_SITES: tuple[Site, ...] = ("resid_pre", "attn_out", "resid_mid", "mlp_out", "resid_post")
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


class SiteMap(Value, frozen=True, kw_only=True):
    """Where the model can be written and read. Layers of block sites are `0..layers-1`."""

    writable: tuple[Site, ...]
    readable: tuple[Site, ...]
    layers: int


class WhiteBox(Protocol):
    """The inside of one loaded model."""

    @property
    def shape(self) -> ModelShape:
        """Names, sizes, digests."""
        ...

    @property
    def site_map(self) -> SiteMap:
        """Supported sites."""
        ...

    def norm_and_unembed(self, hidden_ND: Tensor) -> Tensor:
        """`logits_NV` of residuals that leave the last block, softcap and scale included."""
        ...

    def exclusive(self) -> AbstractContextManager[nn.Module]:
        """Finish what runs, hold back what waits, and lend the module; for gradients only."""
        ...
