"""How far a direction can be believed: agreement, stability, held-out separation, and what chance would give.

Axes: P pairs, D residual width, S ways of assigning the sides of pairs. fp64 throughout.
"""

from __future__ import annotations

import torch
from torch import Tensor

from symposia.core.value import Value

from .vector import LayerNotes, Spread

FOLDS, SPLITS, SHUFFLES = 5, 20, 200


class Diagnosis(Value, frozen=True, kw_only=True):
    """Per layer what the vector file notes, and the layer where held-out pairs separate best.

    `suggested` is a suggestion: that a direction can be read somewhere does not mean it can be steered there.
    """

    pairs: int
    layers: dict[int, LayerNotes]
    suggested: int
    warnings: tuple[str, ...]


def direction(positive_PD: Tensor, negative_PD: Tensor, weight_P: Tensor) -> Tensor:
    """μ⁺ - μ⁻ as `[D]`."""
    return (weight_P[:, None] * (positive_PD - negative_PD)).sum(dim=0) / weight_P.sum()


def examine(
    positive_PD: Tensor, negative_PD: Tensor, weight_P: Tensor, *, reference_norm: float, seed: int
) -> tuple[Tensor, LayerNotes]:
    """The unit direction of one layer, and its notes."""
    mean_D = direction(positive_PD, negative_PD, weight_P)
    fitted = float(mean_D.norm())
    unit_D = mean_D / max(fitted, 1e-30)
    differences_PD = positive_PD - negative_PD
    projected = torch.cat([positive_PD @ unit_D, negative_PD @ unit_D])
    generator = torch.Generator().manual_seed(seed)
    scores = _HeldOut(positive_PD, negative_PD, weight_P)
    as_given_SP = torch.ones(1, len(weight_P), dtype=torch.float64)
    plus_P, minus_P = (side[0] for side in scores.of(as_given_SP))
    notes = LayerNotes(
        fitted_norm=fitted,
        reference_norm=reference_norm,
        projection=Spread(mean=float(projected.mean()), sd=float(projected.std())),
        pair_cosine=float(torch.nn.functional.cosine_similarity(differences_PD, unit_D[None], dim=1).mean()),
        split_half=_split_half(differences_PD, generator),
        auroc=auroc(plus_P, minus_P),
        dprime=_dprime(plus_P, minus_P),
        null_auroc=_null(scores, len(weight_P), generator),
    )
    return unit_D, notes


def diagnosis(layers: dict[int, LayerNotes], pairs: int) -> Diagnosis:
    """All layers together, with the warnings a reader should see first."""
    best = max(layers, key=lambda layer: (layers[layer].auroc or 0.0, layers[layer].split_half or 0.0))
    notes = layers[best]
    told = {
        f"layer {best}: pairs agree by {notes.pair_cosine:.2f} only (< 0.1); steering may not work": (
            notes.pair_cosine or 0
        )
        < 0.1,
        f"layer {best}: halves of the data agree by {notes.split_half:.2f} only (< 0.8)": (
            notes.split_half or 0
        )
        < 0.8,
        f"layer {best}: held-out AUROC {notes.auroc:.2f} is no better than shuffled labels ({notes.null_auroc:.2f})": (
            (notes.auroc or 0) <= (notes.null_auroc or 0)
        ),
        f"{pairs} pairs; 32 or more make steadier directions": pairs < 32,
    }
    return Diagnosis(
        pairs=pairs, layers=layers, suggested=best, warnings=tuple(w for w, said in told.items() if said)
    )


def auroc(plus_N: Tensor, minus_M: Tensor) -> float:
    """Chance that a positive score exceeds a negative one; ties count half."""
    above = (plus_N[:, None] > minus_M[None]).double().mean()
    ties = (plus_N[:, None] == minus_M[None]).double().mean()
    return float(above + 0.5 * ties)


class _HeldOut:
    """Scores of every pair by a unit direction fitted without its fold, centred between the training means.

    Everything is an inner product with pair differences, so swapping sides needs no residuals: only Gram matrices.
    """

    def __init__(self, positive_PD: Tensor, negative_PD: Tensor, weight_P: Tensor) -> None:
        difference_PD = weight_P[:, None] * (positive_PD - negative_PD)
        self._plus_PP = positive_PD @ difference_PD.T
        self._minus_PP = negative_PD @ difference_PD.T
        self._gram_PP = difference_PD @ difference_PD.T
        self._fold_P = torch.arange(len(weight_P)) % FOLDS

    def of(self, sign_SP: Tensor) -> tuple[Tensor, Tensor]:
        """`[S, P]` positive and negative scores; a sign of -1 swaps the sides of a pair."""
        plus_SP, minus_SP = torch.empty_like(sign_SP), torch.empty_like(sign_SP)
        for fold in range(FOLDS):
            test = self._fold_P == fold
            train_SP = sign_SP * ~test
            norm_S1 = ((train_SP @ self._gram_PP) * train_SP).sum(dim=1, keepdim=True).clamp_min(1e-60).sqrt()
            a_SP, b_SP = train_SP @ self._plus_PP.T / norm_S1, train_SP @ self._minus_PP.T / norm_S1
            middle_S1 = (a_SP + b_SP)[:, ~test].mean(dim=1, keepdim=True) / 2
            swapped = sign_SP[:, test] < 0
            a_SP, b_SP = a_SP[:, test] - middle_S1, b_SP[:, test] - middle_S1
            plus_SP[:, test] = torch.where(swapped, b_SP, a_SP)
            minus_SP[:, test] = torch.where(swapped, a_SP, b_SP)
        return plus_SP, minus_SP


def _dprime(plus_P: Tensor, minus_P: Tensor) -> float:
    spread = ((plus_P.var() + minus_P.var()) / 2).sqrt().clamp_min(1e-30)
    return float((plus_P.mean() - minus_P.mean()) / spread)


def _split_half(differences_PD: Tensor, generator: torch.Generator) -> float:
    cosines = []
    for _ in range(SPLITS):
        order = torch.randperm(len(differences_PD), generator=generator)
        half = len(order) // 2
        a_D, b_D = differences_PD[order[:half]].mean(dim=0), differences_PD[order[half:]].mean(dim=0)
        cosines.append(torch.nn.functional.cosine_similarity(a_D, b_D, dim=0))
    return float(torch.stack(cosines).mean())


def _null(scores: _HeldOut, pairs: int, generator: torch.Generator) -> float:
    """95th percentile of the held-out AUROC when the sides of each pair are swapped at random."""
    sign_SP = torch.randint(0, 2, (SHUFFLES, pairs), generator=generator).double() * 2 - 1
    found = [auroc(plus_P, minus_P) for plus_P, minus_P in zip(*scores.of(sign_SP), strict=True)]
    return float(torch.tensor(found, dtype=torch.float64).quantile(0.95))
