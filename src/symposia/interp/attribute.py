"""Which parts of a model made it prefer one token to another: the difference of two logits as a sum over its parts.

The residual is a sum; with the scale of the final norm held, so are the logits (direct logit attribution: Elhage et al.
2021, transformer-circuits.pub). Where attention's output passes a norm of its own (Gemma 2 and 3, OLMo 2), its scale is
held as well, so that heads keep their shares. Axes: N positions, L layers, H heads, D width, X all heads side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from symposia.core.capture import Capture, Site
from symposia.core.errors import ArchitectureNotUnderstood, InvalidInput
from symposia.core.positions import Positions, spoken

from .acts.answer import Activations
from .acts.record import NoActivation
from .anatomy import Parts, dissect
from .attribution import Attribution, Shares
from .check import BARS
from .lens import single_token, tokens_at
from .linear import HeldNorm, pulled_back
from .stored import Forward, forwards
from .taps import WhiteBox

DTYPES = {str(dtype).removeprefix("torch."): dtype for dtype in BARS}


def captures(white_box: WhiteBox, where: Positions = spoken()) -> tuple[Capture, ...]:
    """What `direct` has to find stored: the embedding, every head, every MLP, the last residual."""
    layers = tuple(range(white_box.shape.layers))
    return (
        Capture(site="resid_pre", layers=(0,), where=where),
        Capture(site="z", layers=layers, where=where),
        Capture(site="mlp_out", layers=layers, where=where),
        Capture(site="resid_post", layers=layers[-1:], where=where),
    )


def direct(acts: Activations, white_box: WhiteBox, a: str | int, b: str | int) -> Attribution:
    """Shares of embedding, heads, MLPs and biases in logit(a) - logit(b), before any softcap, at every stored position.

    They sum to it, up to `left_over`: what interventions wrote into the residual. Raises `NoActivation` for rows that
    were not captured (`captures` lists them), `ArchitectureNotUnderstood` if a clean forward has something left over.
    """
    ids = single_token(white_box, a), single_token(white_box, b)
    last = white_box.shape.layers - 1
    found = [(f, at) for f in forwards(acts, white_box.shape) if (at := f.positions("resid_post", last))]
    if not found:
        raise NoActivation(f"no stored resid_post of layer {last}; capture with attribute.captures(…)")
    with white_box.exclusive() as module, torch.no_grad():
        parts = dissect(module, white_box.shape.type, white_box.shape.layers, None)
        line = _Line(parts, ids, white_box)
        shares = [line.shares(forward, at) for forward, at in found]
    texts = white_box.spelled(ids)
    return Attribution(
        tokens=tuple(token for forward, at in found for token in tokens_at(forward, at, white_box)),
        a=texts[0],
        b=texts[1],
        shares=Shares.joined(shares),
        held=("final norm", *(f"attention norm of layer {i}" for i in range(last + 1) if line.normed(i))),
    )


@dataclass(frozen=True)
class _Line:
    """The line in the residual along which two logits differ, followed back to each part."""

    parts: Parts
    ids: tuple[int, int]
    white_box: WhiteBox

    def normed(self, layer: int) -> bool:
        """Whether a layer's attention passes a norm of its own."""
        return len(self.parts.attention_path[layer]) > 1

    def shares(self, forward: Forward, at: Sequence[int]) -> Shares:
        """Of one forward, at some of its positions."""
        rows = _Rows(forward, at, self.white_box, next(self.parts.head.parameters()).device)
        layers, work = range(self.white_box.shape.layers), rows.work
        h_ND = rows.of("resid_post", layers[-1])
        normed_ND = self.parts.norm(h_ND)
        held = HeldNorm.of(self.parts.norm, h_ND, work)
        scale_N1 = held.scales(h_ND.to(work), normed_ND.to(work))
        out_D, bias = self._difference(normed_ND, work)
        line_D = held.pulled(out_D)
        line_ND = scale_N1 * line_D  # each position's own

        attention = [self._attention(rows, layer, line_D) for layer in layers]
        found = Shares(
            embedding_N=(rows.of("resid_pre", 0).to(work) * line_ND).sum(-1),
            heads=tuple(scale_N1 * heads_NH for heads_NH, _ in attention),
            attention_bias_NL=torch.stack([scale_N1[:, 0] * bias_N for _, bias_N in attention], dim=1),
            mlp_NL=torch.stack([(rows.of("mlp_out", i).to(work) * line_ND).sum(-1) for i in layers], dim=1),
            bias_N=(held.bias_D @ out_D + bias).expand(len(at)).clone(),
            total_N=normed_ND.to(work) @ out_D + bias,
        )
        self._believe(forward, found, h_ND.to(work).norm(dim=1) * line_ND.norm(dim=1))
        return found.to("cpu")

    def _difference(self, normed_ND: Tensor, work: torch.dtype) -> tuple[Tensor, Tensor]:
        """The difference of two rows of the unembedding, and of their biases."""
        one_2V = torch.zeros(2, self.white_box.shape.vocabulary, dtype=work, device=normed_ND.device)
        one_2V[0, self.ids[0]] = one_2V[1, self.ids[1]] = 1.0
        (a_D, a), (b_D, b) = (pulled_back(self.parts.head, one_V, normed_ND) for one_V in one_2V)
        return a_D - b_D, a - b

    def _attention(self, rows: _Rows, layer: int, line_D: Tensor) -> tuple[Tensor, Tensor]:
        """Shares of heads `[N, H]` and of what is the same whatever they say `[N]`, before the final scale."""
        out, *norms = self.parts.attention_path[layer]
        heads = self.parts.heads[layer].query
        z_NHd = rows.of("z", layer)
        if z_NHd.shape[1] != heads:
            raise InvalidInput(f"z {layer}: expected all {heads} heads; {z_NHd.shape[1]} were captured")
        x_ND = out(z_NHd.flatten(1))
        scale_N1 = torch.ones(len(z_NHd), 1, dtype=rows.work, device=x_ND.device)
        bias_N = torch.zeros(len(z_NHd), dtype=rows.work, device=x_ND.device)
        steps = []
        for norm in norms:
            normed_ND, held = norm(x_ND), HeldNorm.of(norm, x_ND, rows.work)
            steps.append((held, held.scales(x_ND.to(rows.work), normed_ND.to(rows.work))))
            x_ND = normed_ND
        for held, own_N1 in reversed(steps):
            bias_N = bias_N + scale_N1[:, 0] * (held.bias_D @ line_D)
            line_D, scale_N1 = held.pulled(line_D), scale_N1 * own_N1
        line_X, constant = pulled_back(out, line_D, z_NHd.flatten(1))
        heads_NH = scale_N1 * (z_NHd.to(rows.work) * line_X.view(heads, -1)).sum(-1)
        return heads_NH, bias_N + scale_N1[:, 0] * constant

    def _believe(self, forward: Forward, found: Shares, most_N: Tensor) -> None:
        """`most_N`: no part of the residual can have a larger share."""
        bar = max(
            BARS[DTYPES[self.white_box.shape.dtype]], BARS[torch.float32]
        )  # norms round to fp32 in fp64 models
        apart = float((found.left_over.abs() / most_N.clamp_min(1e-30)).max())
        if not forward.source.steered and not apart <= bar:
            raise ArchitectureNotUnderstood(
                f"{self.white_box.shape.type}: the shares of a clean forward miss the logit difference by {apart:.1e} "
                f"of the residual (expected <= {bar:.0e}); is every `where` and `at` of the captures the same?"
            )


@dataclass(frozen=True)
class _Rows:
    """Rows of one forward at some positions, as the module computes with them; `work`: as shares are summed."""

    forward: Forward
    at: Sequence[int]
    white_box: WhiteBox
    device: torch.device

    @property
    def dtype(self) -> torch.dtype:
        return DTYPES[self.white_box.shape.dtype]

    @property
    def work(self) -> torch.dtype:
        return torch.float64 if self.dtype == torch.float64 else torch.float32

    def of(self, site: Site, layer: int) -> Tensor:
        return self.forward.rows(site, layer, self.at).to(self.device, self.dtype)
