"""Two sides that are not paired, and may be of unequal size: directions, and how far they can be believed.

Folds are of whole conversations. Chance is what a method finds when the sides are dealt out anew among blocks: all rows
of one conversation and side go together, so that what they share does not pass for a difference.

Axes: N rows of both sides, D width, R <= N coordinates, S ways to deal out the sides, B blocks. fp64 throughout.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from symposia.core.errors import InvalidInput

from .diagnose import FOLDS, SHUFFLES, SPLITS, at_once, auroc, dprime, one_half
from .methods import (
    Caa,
    DiffMean,
    Lat,
    Lda,
    Logistic,
    MeanCentre,
    Method,
    Pca,
    lat,
    lda,
    logistic,
    means_apart,
    spread,
)
from .vector import LayerNotes, Spread

_TINY = 1e-30


@dataclass(frozen=True)
class Sides:
    """Pooled rows `[N, D]`, the side of each (1 or -1), how much it counts, and its conversation's number."""

    rows_ND: Tensor
    side_N: Tensor
    weight_N: Tensor
    group_N: Tensor

    def of(self, chosen_N: Tensor) -> Sides:
        """Some of the rows."""
        fields = (self.rows_ND, self.side_N, self.weight_N, self.group_N)
        return Sides(*(each[chosen_N] for each in fields))

    def weighing(self, chosen_N: Tensor) -> Sides:
        """All of the rows, where only some count: nothing is copied."""
        return Sides(self.rows_ND, self.side_N, self.weight_N * chosen_N, self.group_N)


def side_directions(method: Method, sides: Sides, side_SN: Tensor) -> Tensor:
    """`[S, D]` unit directions, positive rows projecting higher; zero where both sides have the same mean."""
    rows_ND, weight_N = sides.rows_ND, sides.weight_N
    if isinstance(method, Logistic):
        spread_D = spread(rows_ND)
        scaled = Sides(rows_ND / spread_D, sides.side_N, weight_N, sides.group_N)
        found_SD = _in_span(method, scaled, side_SN) / spread_D
        if method.pattern:
            centred_ND = rows_ND - rows_ND.mean(dim=0)
            found_SD = (found_SD @ centred_ND.T) @ centred_ND
    else:
        found_SD = _in_span(method, sides, side_SN)
    plus_SD, minus_SD = means_apart(rows_ND, side_SN, weight_N)
    along_S1 = (found_SD * (plus_SD - minus_SD)).sum(dim=1, keepdim=True)
    signed_SD = torch.where(along_S1 < 0, -found_SD, found_SD)
    return torch.nn.functional.normalize(signed_SD, dim=1, eps=_TINY)


def _in_span(method: Method, sides: Sides, side_SN: Tensor) -> Tensor:
    rows_ND, weight_N = sides.rows_ND, sides.weight_N / sides.weight_N.mean()
    if isinstance(method, DiffMean | MeanCentre):
        plus_SD, minus_SD = means_apart(rows_ND, side_SN, weight_N)
        return plus_SD - minus_SD
    width = rows_ND.shape[1]
    if width <= len(rows_ND):
        return _solved(method, rows_ND, side_SN, weight_N, width)
    basis_DR: Tensor = torch.linalg.qr(rows_ND.T).Q
    return _solved(method, rows_ND @ basis_DR, side_SN, weight_N, width) @ basis_DR.T


def _solved(method: Method, rows_NR: Tensor, side_SN: Tensor, weight_N: Tensor, width: int) -> Tensor:
    match method:
        case Lat():
            return lat(rows_NR, weight_N, method.seed).expand(len(side_SN), -1)
        case Lda():
            return lda(rows_NR, side_SN, weight_N, method.shrink, width)
        case Logistic():
            return logistic(rows_NR, side_SN, weight_N, method.c)[:, :-1]
    raise AssertionError(f"{method} should have been refused")


def check_unpaired(method: Method) -> None:
    """Refuse methods that are about differences within pairs."""
    if isinstance(method, Caa | Pca):
        raise InvalidInput(
            f"{type(method).__name__} is fitted on pairs: say pair_by='turn' or 'conversation'"
        )


def examine_sides(
    method: Method, sides: Sides, *, reference_norm: float, seed: int
) -> tuple[Tensor, LayerNotes]:
    """The unit direction of one layer, and its notes. `fitted_norm` is (μ⁺ - μ⁻)·v̂, whatever the method."""
    given_1N = sides.side_N[None]
    unit_D = side_directions(method, sides, given_1N)[0]
    plus_1D, minus_1D = means_apart(sides.rows_ND, given_1N, sides.weight_N)
    projected_N = sides.rows_ND @ unit_D
    generator = torch.Generator().manual_seed(seed)
    scores_N = side_scores(method, sides, given_1N)[0]
    plus, minus = scores_N[sides.side_N > 0], scores_N[sides.side_N < 0]
    notes = LayerNotes(
        fitted_norm=float((plus_1D - minus_1D)[0] @ unit_D),
        reference_norm=reference_norm,
        projection=Spread(mean=float(projected_N.mean()), sd=float(projected_N.std())),
        split_half=_split_half(method, sides, generator),
        auroc=auroc(plus, minus),
        dprime=dprime(plus, minus),
        null_auroc=_null(method, sides, generator),
    )
    return unit_D, notes


def side_scores(method: Method, sides: Sides, side_SN: Tensor) -> Tensor:
    """`[S, N]` scores of every row by a direction fitted without its conversation's fold.

    Scores are centred between the training means, so that folds compare.
    """
    scores_SN = torch.zeros_like(side_SN)
    fold_N = sides.group_N % FOLDS
    for fold in sorted(set(fold_N.tolist())):
        test = fold_N == fold
        if isinstance(method, DiffMean | MeanCentre):
            rest, own_SN = sides.weighing(~test), side_SN
        else:
            rest, own_SN = sides.of(~test), side_SN[:, ~test]
        unit_SD = side_directions(method, rest, own_SN)
        plus_SD, minus_SD = means_apart(rest.rows_ND, own_SN, rest.weight_N)
        middle_S1 = ((plus_SD + minus_SD) * unit_SD).sum(dim=1, keepdim=True) / 2
        scores_SN[:, test] = unit_SD @ sides.rows_ND[test].T - middle_S1
    return scores_SN


def _split_half(method: Method, sides: Sides, generator: torch.Generator) -> float | None:
    """Mean cosine of the directions of two random halves of the conversations that both have both sides."""
    cosines = []
    for _ in range(SPLITS):
        first_N = one_half(sides.group_N, generator)
        if all(_both_sides(sides.side_N[half_N]) for half_N in (first_N, ~first_N)):
            parts = (
                sides.weighing(half_N) if isinstance(method, DiffMean | MeanCentre) else sides.of(half_N)
                for half_N in (first_N, ~first_N)
            )
            a_D, b_D = (side_directions(method, part, part.side_N[None])[0] for part in parts)
            cosines.append(a_D @ b_D)
    return float(torch.stack(cosines).mean()) if cosines else None


def _both_sides(side_N: Tensor) -> bool:
    return bool((side_N > 0).any() and (side_N < 0).any())


def _null(method: Method, sides: Sides, generator: torch.Generator) -> float:
    """95th percentile of the held-out AUROC when the sides are dealt out anew among blocks."""
    keys = list(zip(sides.group_N.tolist(), sides.side_N.tolist(), strict=True))
    blocks = {key: i for i, key in enumerate(dict.fromkeys(keys))}
    block_N = torch.tensor([blocks[key] for key in keys])
    side_B = torch.tensor([side for _, side in blocks], dtype=torch.float64)
    dealt_SB = torch.stack(
        [side_B[torch.randperm(len(side_B), generator=generator)] for _ in range(SHUFFLES)]
    )
    found = []
    some = at_once(min(sides.rows_ND.shape), len(block_N))
    for at in range(0, SHUFFLES, some):
        side_SN = dealt_SB[at : at + some, block_N]
        scores_SN = side_scores(method, sides, side_SN)
        found += [auroc(s[side > 0], s[side < 0]) for s, side in zip(scores_SN, side_SN, strict=True)]
    return float(torch.tensor(found, dtype=torch.float64).quantile(0.95))
