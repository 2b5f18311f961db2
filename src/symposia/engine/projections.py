"""The linear layers of one loaded module as the kernels want them, packed once for all engines on it.

The module's own weights are then a second copy: a module that nobody else holds can do without them, and gets them
back for as long as somebody needs it whole.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from .native.binding import Kernels, PackedLinear


@dataclass(eq=False)
class Projections:
    """Safe from any thread. A module is whole until `drop`, and within `whole` and after `keep` always."""

    _packed: dict[tuple[nn.Linear, ...], PackedLinear] = field(default_factory=dict)
    _spared: set[nn.Linear] = field(default_factory=set)
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _users: int = 0
    _spare: bool = False

    def packed(self, kernels: Kernels, layers: Sequence[nn.Linear], *, spare: bool) -> PackedLinear:
        """Layers of one input as one; made while the module is whole. `spare`: the module can do without them."""
        key = tuple(layers)
        with self._lock:
            if key not in self._packed:
                weight_OI = torch.cat([layer.weight.detach() for layer in layers])
                biases: list[Tensor | None] = [layer.bias for layer in layers]
                known = [bias.detach() for bias in biases if bias is not None]
                self._packed[key] = PackedLinear(kernels, weight_OI, torch.cat(known) if known else None)
                if spare:
                    self._spared.update(layers)
            return self._packed[key]

    def drop(self) -> None:
        """From now on the module has its weights only while it has to be whole."""
        with self._lock:
            self._spare = True
            self._settle()

    def keep(self) -> None:
        """Somebody computes with the module itself, for good."""
        with self._lock:
            self._users += 1
            self._restore()

    @contextmanager
    def whole(self) -> Iterator[None]:
        """The module has all its weights; changes to those that it can spare are lost afterwards."""
        self.keep()
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                self._settle()

    def _settle(self) -> None:
        if self._spare and not self._users:
            for layer in self._spared:
                layer.weight.data = layer.weight.data.new_empty(0)

    def _restore(self) -> None:
        for layers, packed in self._packed.items():
            if any(layer in self._spared and not layer.weight.numel() for layer in layers):
                rows = torch.split(packed.weight(), [layer.out_features for layer in layers])
                for layer, weight_OI in zip(layers, rows, strict=True):
                    layer.weight.data = weight_OI


@dataclass(frozen=True)
class Packer:
    """What packs a runner's linear layers."""

    kernels: Kernels
    projections: Projections

    def __call__(self, layers: Sequence[nn.Linear], *, spare: bool = True) -> PackedLinear:
        """As `Projections.packed`."""
        return self.projections.packed(self.kernels, layers, spare=spare)
