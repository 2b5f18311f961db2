"""A module as the linear map that it is once a norm's scale is held: what lets one number be split into shares.

Axes: N rows, D width, X width of the input.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from symposia.core.errors import ArchitectureNotUnderstood

_LARGE = 1e4  # beside which a norm's epsilon is nothing


@dataclass(frozen=True)
class HeldNorm:
    """norm(x) = scale·gain·(x - mean x) + bias for the scale that norm(x) had; the mean only where the norm takes it.

    Found by asking the module, so that it holds of any norm by root mean square or by standard deviation.
    """

    gain_D: Tensor
    bias_D: Tensor
    centred: bool

    @classmethod
    def of(cls, norm: nn.Module, like_ND: Tensor, work: torch.dtype) -> HeldNorm:
        """The linear form of a norm over rows like these; its numbers in the dtype `work`."""
        width = like_ND.shape[-1]
        flips_D = torch.ones(width, dtype=like_ND.dtype, device=like_ND.device)
        flips_D[1::2] = -1.0
        asked_3D = torch.stack(
            [torch.zeros_like(flips_D), _LARGE * flips_D, _LARGE * torch.ones_like(flips_D)]
        )
        zero_D, flipped_D, level_D = norm(asked_3D).to(work)
        gain_D = (flipped_D - zero_D) * flips_D.to(work)
        centred = bool((level_D - zero_D).abs().max() < 0.5 * gain_D.abs().max())
        return cls(gain_D, zero_D, centred)

    def scales(self, x_ND: Tensor, normed_ND: Tensor) -> Tensor:
        """The scale `[N, 1]` that each row was multiplied by."""
        shape_ND, part_ND = self.gain_D * self._held(x_ND), normed_ND - self.bias_D
        length_N1 = (shape_ND * shape_ND).sum(-1, keepdim=True)
        scale_N1 = (shape_ND * part_ND).sum(-1, keepdim=True) / length_N1.clamp_min(1e-30)
        rest = (part_ND - scale_N1 * shape_ND).norm()
        if float(rest) > 0.05 * float(part_ND.norm()):
            raise ArchitectureNotUnderstood(
                "expected a norm that scales its rows, by root mean square or standard deviation; this one does more"
            )
        return scale_N1

    def pulled(self, out_D: Tensor) -> Tensor:
        """r with out·(gain·(x - mean x)) = r·x, before the scale."""
        own_D = self.gain_D * out_D
        return own_D - own_D.mean() if self.centred else own_D

    def _held(self, x_ND: Tensor) -> Tensor:
        return x_ND - x_ND.mean(-1, keepdim=True) if self.centred else x_ND


def pulled_back(linear: nn.Module, out_D: Tensor, like_NX: Tensor) -> tuple[Tensor, Tensor]:
    """r `[X]` and c with out·linear(x) = r·x + c, of a module that is linear up to a bias; x are rows like these.

    In the rows' own dtype inside the module, in `out_D`'s outside.
    """
    with torch.enable_grad():
        x_1X = torch.zeros_like(like_NX[:1]).requires_grad_()
        value = (linear(x_1X)[0] * out_D.to(like_NX.dtype)).sum()
        (r_1X,) = torch.autograd.grad(value, x_1X)
    return r_1X[0].to(out_D.dtype), value.detach().to(out_D.dtype)
