"""What a layer thinks with: one gated MLP, or many of them, of which its router chooses some for each token.

Axes: T tokens, k experts of each, P = T·k pairs of token and expert, E experts, D residual width, F an MLP's width,
G = 2F gate and up side by side.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from symposia.core.errors import ArchitectureNotUnderstood
from symposia.engine.projections import Packer

from .inside import Visits
from .lean_parts import GateKind, Operator, activation, gate_kind
from .routing import Routed, Routers

Experts = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Of `x_TD`, `ids_Tk` and `weights_Tk` the weighted sum of what each token's experts make of it, `[T, D]`."""


@dataclass(frozen=True)
class Gated:
    """One MLP for all tokens."""

    gate_up: Operator
    down: Operator
    act: Operator
    gate: GateKind

    def term(self, x_TD: Tensor) -> Tensor:
        """Its output."""
        gate_TF, up_TF = self.gate_up(x_TD).chunk(2, dim=1)
        return self.down(self.act(gate_TF) * up_TF)


@dataclass(frozen=True)
class Mixture:
    """Experts behind the model's own router; `layer` says where the router is visited."""

    router: nn.Module
    experts: Experts
    routers: Routers
    layer: int
    gate: GateKind

    def term(self, x_TD: Tensor, work: Visits) -> Tensor:
        """The output of the experts chosen, after whatever was written at the router."""
        routed = Routed(*self.router(x_TD))
        if ("router", self.layer) in work.points:
            routed = self.routers.visit(("router", self.layer), self.router, x_TD, routed, work)
        return self.experts(x_TD, routed.ids_Tk, routed.weights_Tk)


def experts_of(module: nn.Module, pack: Packer | None) -> Experts:
    """A layer's experts, packed for kernels that have its gate. `ArchitectureNotUnderstood` if they are not that."""
    _check(module)
    told: Any = module
    gate = gate_kind(told.act_fn)
    if pack is None or gate == "other":
        return plain_experts(module)
    return pack.experts(told.gate_up_proj, told.down_proj, tanh_gelu=gate == "tanh_gelu")


def plain_experts(module: nn.Module) -> Experts:
    """Over the module's own weights, tokens grouped by expert; off the CPU the module itself, which does the same."""
    if next(module.parameters()).device.type != "cpu":
        return module
    told: Any = module
    gate_up_EGD, down_EDF = told.gate_up_proj, told.down_proj
    act = activation(told.act_fn)

    def run(x_TD: Tensor, ids_Tk: Tensor, weights_Tk: Tensor) -> Tensor:
        order_P = ids_Tk.flatten().argsort(stable=True)
        x_PD = x_TD[order_P // ids_Tk.shape[1]]
        made_PD, start = torch.empty_like(x_PD), 0
        for expert, count in enumerate(torch.bincount(ids_Tk.flatten()).tolist()):
            rows = slice(start, start + count)
            if count:
                gate_NF, up_NF = linear(x_PD[rows], gate_up_EGD[expert]).chunk(2, dim=1)
                made_PD[rows] = linear(act(gate_NF) * up_NF, down_EDF[expert])
            start += count
        terms_PD = torch.empty_like(made_PD).index_copy_(0, order_P, made_PD)
        terms_TkD = terms_PD.view(*ids_Tk.shape, x_TD.shape[1]) * weights_Tk[:, :, None]
        return terms_TkD.sum(dim=1).to(x_TD.dtype)

    return run


def _check(module: nn.Module) -> None:
    """`ArchitectureNotUnderstood` unless the weights are those of gated MLPs, `[E, G, D]` and `[E, D, F]`."""
    shapes = {name: tuple(weight.shape) for name, weight in module.named_parameters()}
    gate_up, down = shapes.get("gate_up_proj", ()), shapes.get("down_proj", ())
    if len(shapes) != 2 or len(gate_up) != 3 or down != (gate_up[0], gate_up[2], gate_up[1] // 2):
        raise ArchitectureNotUnderstood(
            f"{type(module).__name__}: expected gate_up_proj [E, 2F, D] and down_proj [E, D, F], and nothing else; "
            f"got {shapes}; use runner='hf'"
        )
