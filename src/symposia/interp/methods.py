"""From pooled rows of two sides to a direction: the methods, each for many assignments of the sides at once.

A sign of -1 swaps the sides of a pair: chance is what a method finds when sides mean nothing. Rows are first turned
into coordinates of their own span, since none of the methods but the z-scored one looks outside it.

Axes: P pairs, N = 2P rows (positive, then negative), D width, R <= N coordinates, S assignments. fp64 throughout.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from symposia.core.errors import InvalidInput
from symposia.core.value import Value

_STEPS, _ROUNDS = 30, 50
_TINY = 1e-30


class DiffMean(Value, frozen=True, tag_field="type", tag="diff_mean"):
    """μ⁺ - μ⁻, mean per sample, then over samples."""


class MeanCentre(Value, frozen=True, tag_field="type", tag="mean_centre"):
    """μ_target - μ_corpus (arXiv 2312.03813): the positive side against whatever a model reads, not in pairs."""


class Caa(Value, frozen=True, tag_field="type", tag="caa"):
    """Mean of the pair differences (arXiv 2312.06681), read at the end of the answer."""


class Pca(Value, frozen=True, tag_field="type", tag="pca"):
    """First principal component of the pair differences, or with `centre` of ±(x - pair mean) (repeng)."""

    centre: bool = False


class Lat(Value, frozen=True, tag_field="type", tag="lat"):
    """First principal component of normalised differences of random pairs (arXiv 2310.01405)."""

    seed: int = 0


class Logistic(Value, frozen=True, tag_field="type", tag="logistic"):
    """L2 logistic regression on z-scored rows, its weight divided by σ; `pattern` gives Σ·w (Haufe et al. 2014)."""

    c: float = 1.0
    pattern: bool = False


class Lda(Value, frozen=True, tag_field="type", tag="lda"):
    """(Σ_w + shrink·tr(Σ_w)/D·I)⁻¹(μ⁺ - μ⁻), Σ_w the scatter within sides over N - 2."""

    shrink: float = 1e-2


Method = DiffMean | MeanCentre | Caa | Pca | Lat | Logistic | Lda
Side = Literal["positive", "negative"]


@dataclass(frozen=True)
class Pairs:
    """Pooled rows of both sides `[P, D]`, pair by pair, and how much each pair counts.

    `group_P`: pairs of one number are of one conversation, and stay together when some are held out.
    """

    plus_PD: Tensor
    minus_PD: Tensor
    weight_P: Tensor
    group_P: Tensor | None = None

    def of(self, chosen_P: Tensor) -> Pairs:
        """Some of the pairs."""
        group_P = None if self.group_P is None else self.group_P[chosen_P]
        return Pairs(self.plus_PD[chosen_P], self.minus_PD[chosen_P], self.weight_P[chosen_P], group_P)

    @property
    def groups(self) -> Tensor:
        """What stays together `[P]`, numbered from 0: each pair alone if not otherwise."""
        return torch.arange(len(self.weight_P)) if self.group_P is None else self.group_P

    @property
    def rows(self) -> Tensor:
        """`[N, D]`: positive rows, then negative ones."""
        return torch.cat([self.plus_PD, self.minus_PD])


def directions(method: Method, pairs: Pairs, sign_SP: Tensor) -> Tensor:
    """`[S, D]` unit directions, positive rows projecting higher; zero where both sides have the same mean."""
    rows_ND = pairs.rows
    if isinstance(method, Logistic):
        spread_D = spread(rows_ND)
        scaled = Pairs(pairs.plus_PD / spread_D, pairs.minus_PD / spread_D, pairs.weight_P)
        found_SD = _in_span(method, scaled, sign_SP) / spread_D
        if method.pattern:
            centred_ND = rows_ND - rows_ND.mean(dim=0)
            found_SD = (found_SD @ centred_ND.T) @ centred_ND
    else:
        found_SD = _in_span(method, pairs, sign_SP)
    gap_SD = _gap(pairs.plus_PD, pairs.minus_PD, pairs.weight_P, sign_SP)
    along_S1 = (found_SD * gap_SD).sum(dim=1, keepdim=True)
    signed_SD = torch.where(along_S1 < 0, -found_SD, found_SD)
    return torch.nn.functional.normalize(signed_SD, dim=1, eps=_TINY)


def probe(method: Logistic, rows_ND: Tensor, side_N: Tensor, weight_N: Tensor) -> tuple[Tensor, float]:
    """Weight `[D]` and bias of the regression on rows as they are: P(positive) = σ(h·weight + bias)."""
    spread_D = spread(rows_ND)
    basis_DR: Tensor = torch.linalg.qr((rows_ND / spread_D).T).Q
    w_Q = logistic(rows_ND / spread_D @ basis_DR, side_N[None], weight_N / weight_N.mean(), method.c)[0]
    weight_D = basis_DR @ w_Q[:-1] / spread_D
    return weight_D, float(w_Q[-1] - rows_ND.mean(dim=0) @ weight_D)


def probe_tensors(layer: int, weight_D: Tensor, bias: float) -> dict[str, Tensor]:
    """As a vector file names them."""
    return {f"probe.{layer}.weight": weight_D, f"probe.{layer}.bias": torch.tensor([bias])}


def spread(rows_ND: Tensor) -> Tensor:
    """Standard deviations; 1 where a number never changes, as scikit-learn has it."""
    spread_D = rows_ND.std(dim=0, correction=0)
    return torch.where(spread_D > 0, spread_D, 1.0)


def _in_span(method: Method, pairs: Pairs, sign_SP: Tensor) -> Tensor:
    """In coordinates of the rows' span, then back."""
    rows_ND = pairs.rows
    width = rows_ND.shape[1]
    if isinstance(method, DiffMean | Caa) or width <= len(rows_ND):
        return _solved(method, pairs, sign_SP, width)
    basis_DR: Tensor = torch.linalg.qr(rows_ND.T).Q
    inside = Pairs(pairs.plus_PD @ basis_DR, pairs.minus_PD @ basis_DR, pairs.weight_P)
    return _solved(method, inside, sign_SP, width) @ basis_DR.T


def _solved(method: Method, pairs: Pairs, sign_SP: Tensor, width: int) -> Tensor:
    plus_PR, minus_PR, weight_P = pairs.plus_PD, pairs.minus_PD, pairs.weight_P
    match method:
        case MeanCentre():
            raise InvalidInput("mean_centre has a corpus, not pairs: fit it on Groups, without pair_by")
        case DiffMean() | Caa():
            return _gap(plus_PR, minus_PR, weight_P, sign_SP)
        case Pca(centre=True):
            half_PR = (plus_PR - minus_PR) / 2  # ±half: the mean is zero, whatever the sides
            return _first(half_PR, weight_P).expand(len(sign_SP), -1)
        case Pca():
            return _firsts(sign_SP[..., None] * (plus_PR - minus_PR), weight_P)
        case Lat():
            weight_N = torch.cat([weight_P, weight_P])
            return lat(pairs.rows, weight_N, method.seed).expand(len(sign_SP), -1)
        case Lda():
            return lda(*labelled(pairs, sign_SP), method.shrink, width)
        case Logistic():
            return logistic(*labelled(pairs, sign_SP), method.c)[:, :-1]


def _gap(plus_PX: Tensor, minus_PX: Tensor, weight_P: Tensor, sign_SP: Tensor) -> Tensor:
    """Mean difference of the sides under each assignment."""
    return (sign_SP * weight_P) @ (plus_PX - minus_PX) / weight_P.sum()


def _first(x_NR: Tensor, weight_N: Tensor) -> Tensor:
    """First principal component of rows taken as they are."""
    scaled_NR = x_NR * weight_N.sqrt()[:, None]
    components_RR: Tensor = torch.linalg.svd(scaled_NR, full_matrices=False).Vh
    return components_RR[:1]


def _firsts(x_SPR: Tensor, weight_P: Tensor) -> Tensor:
    """First principal components of rows less their mean."""
    mean_S1R = (x_SPR * weight_P[:, None]).sum(dim=1, keepdim=True) / weight_P.sum()
    centred_SPR = (x_SPR - mean_S1R) * weight_P.sqrt()[:, None]
    if centred_SPR.shape[1] < centred_SPR.shape[2]:  # fewer rows than coordinates
        shares_SPP: Tensor = torch.linalg.eigh(centred_SPR @ centred_SPR.transpose(1, 2)).eigenvectors
        return torch.nn.functional.normalize(
            (shares_SPP[:, None, :, -1] @ centred_SPR)[:, 0], dim=1, eps=_TINY
        )
    components_SRR: Tensor = torch.linalg.eigh(centred_SPR.transpose(1, 2) @ centred_SPR).eigenvectors
    return components_SRR[:, :, -1]


def lat(rows_NR: Tensor, weight_N: Tensor, seed: int) -> Tensor:
    """`[1, R]`: first principal component of normalised differences of random pairs."""
    order_N = torch.randperm(len(rows_NR), generator=torch.Generator().manual_seed(seed))
    half = len(order_N) // 2
    a, b = order_N[: 2 * half : 2], order_N[1 : 2 * half : 2]
    apart = rows_NR[a] - rows_NR[b]
    apart = apart / apart.norm(dim=1, keepdim=True).clamp_min(_TINY)
    return _first(apart, (weight_N[a] * weight_N[b]).sqrt())


def labelled(pairs: Pairs, sign_SP: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Rows `[N, R]`, sides as ±1 `[S, N]`, and weights `[N]` of mean 1."""
    rows_NR = torch.cat([pairs.plus_PD, pairs.minus_PD])
    weight_N = torch.cat([pairs.weight_P, pairs.weight_P])
    return rows_NR, torch.cat([sign_SP, -sign_SP], dim=1), weight_N / weight_N.mean()


def means_apart(rows_NR: Tensor, side_SN: Tensor, weight_N: Tensor) -> tuple[Tensor, Tensor]:
    """Weighted means `[S, R]` of the rows on either side, zero for a side without rows."""
    plus_SN, minus_SN = ((side_SN > 0) * weight_N), ((side_SN < 0) * weight_N)
    plus_SR = plus_SN @ rows_NR / plus_SN.sum(dim=1, keepdim=True).clamp_min(_TINY)
    minus_SR = minus_SN @ rows_NR / minus_SN.sum(dim=1, keepdim=True).clamp_min(_TINY)
    return plus_SR, minus_SR


def lda(rows_NR: Tensor, side_SN: Tensor, weight_N: Tensor, shrink: float, width: int) -> Tensor:
    """`[S, R]`; the ridge is a share of the mean variance over all `width` coordinates.

    The scatter between sides is W⁺W⁻/W·ggᵀ, g the gap: of rank one, along g. The inverse of the scatter within and that
    of the whole then turn g the same way, and the whole one is of all assignments: only the ridge, from the trace
    within, is each one's own.
    """
    plus_SR, minus_SR = means_apart(rows_NR, side_SN, weight_N)
    gap_SR, total = plus_SR - minus_SR, weight_N.sum()
    apart_S = ((side_SN > 0) * weight_N).sum(dim=1) * ((side_SN < 0) * weight_N).sum(dim=1) / total
    centred_NR = rows_NR - weight_N @ rows_NR / total
    spread_R, axes_RR = torch.linalg.eigh((centred_NR * weight_N[:, None]).T @ centred_NR)
    within_S = spread_R.sum() - apart_S * gap_SR.square().sum(dim=1)
    ridged_SR = spread_R.clamp_min(0.0) + (shrink * within_S / width)[:, None]
    known_SR = ridged_SR > 1e-12 * spread_R[-1]  # without a ridge, what no row varies in is left out
    turned_SR = torch.where(known_SR, gap_SR @ axes_RR / ridged_SR.clamp_min(_TINY), 0.0)
    found_SR: Tensor = turned_SR @ axes_RR.T
    return found_SR


def logistic(rows_NR: Tensor, side_SN: Tensor, weight_N: Tensor, c: float) -> Tensor:
    """`[S, R + 1]` weights and b: Newton's method on Σ log(1 + exp(-y(x·w + b))) + ‖w‖²/2c, as scikit-learn states it.

    x are the rows less their mean; b is not penalised.
    """
    x_NQ = torch.cat([rows_NR - rows_NR.mean(dim=0), torch.ones(len(rows_NR), 1, dtype=rows_NR.dtype)], dim=1)
    penalty_Q = torch.full((x_NQ.shape[1],), 1.0 / c, dtype=x_NQ.dtype)
    penalty_Q[-1] = 1e-10
    w_SQ = torch.zeros(len(side_SN), x_NQ.shape[1], dtype=x_NQ.dtype)
    for _ in range(_STEPS):
        margin_SN = side_SN * (w_SQ @ x_NQ.T)
        miss_SN = torch.sigmoid(-margin_SN)
        slope_SQ = -(weight_N * miss_SN * side_SN) @ x_NQ + penalty_Q * w_SQ
        curve_SN = weight_N * miss_SN * (1 - miss_SN)
        step_SQ = _step(x_NQ, curve_SN, penalty_Q, slope_SQ)
        w_SQ = w_SQ - step_SQ
        if float(step_SQ.abs().max()) < 1e-11 * (1.0 + float(w_SQ.abs().max())):
            break
    return w_SQ


def _step(x_NQ: Tensor, curve_SN: Tensor, penalty_Q: Tensor, slope_SQ: Tensor) -> Tensor:
    """Newton's step for every assignment: conjugate gradients on its own curvature, led by the mean one of all.

    Of one assignment that is its own, so the first round is exact; of many it saves a Hessian for each.
    """
    shared_QQ = (x_NQ.T * curve_SN.mean(dim=0)) @ x_NQ + torch.diag(penalty_Q)
    factor_QQ = torch.linalg.cholesky(shared_QQ)
    step_SQ, rest_SQ = torch.zeros_like(slope_SQ), slope_SQ
    led_SQ = torch.cholesky_solve(rest_SQ.T, factor_QQ).T
    way_SQ, size_S1 = led_SQ, (rest_SQ * led_SQ).sum(dim=1, keepdim=True)
    small_S = 1e-6 * slope_SQ.norm(dim=1)
    for _ in range(_ROUNDS):
        bent_SQ = ((way_SQ @ x_NQ.T) * curve_SN) @ x_NQ + penalty_Q * way_SQ
        far_S1 = size_S1 / (way_SQ * bent_SQ).sum(dim=1, keepdim=True).clamp_min(_TINY)
        step_SQ, rest_SQ = step_SQ + far_S1 * way_SQ, rest_SQ - far_S1 * bent_SQ
        if bool((rest_SQ.norm(dim=1) <= small_S).all()):
            break
        led_SQ = torch.cholesky_solve(rest_SQ.T, factor_QQ).T
        next_S1 = (rest_SQ * led_SQ).sum(dim=1, keepdim=True)
        way_SQ, size_S1 = led_SQ + next_S1 / size_S1.clamp_min(_TINY) * way_SQ, next_S1
    return step_SQ
