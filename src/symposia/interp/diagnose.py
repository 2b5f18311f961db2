"""How far a direction can be believed: agreement, stability, held-out separation, and what chance would give.

Axes: P pairs, D residual width, S ways of assigning the sides of pairs. fp64 throughout.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from symposia.core.errors import InvalidInput
from symposia.core.value import Value

from .methods import DiffMean, Method, Pairs, directions
from .vector import LayerNotes, Spread

FOLDS, SPLITS, SHUFFLES = 5, 20, 200
_MATRICES, _SCORES = 1 << 24, 1 << 17  # numbers held at once


class Diagnosis(Value, frozen=True, kw_only=True):
    """Per layer what the vector file notes, and the layer where held-out pairs separate best.

    `suggested` is a suggestion: that a direction can be read somewhere does not mean it can be steered there.
    """

    pairs: int
    layers: dict[int, LayerNotes]
    suggested: int
    warnings: tuple[str, ...]


def examine(method: Method, pairs: Pairs, *, reference_norm: float, seed: int) -> tuple[Tensor, LayerNotes]:
    """The unit direction of one layer, and its notes. `fitted_norm` is (μ⁺ - μ⁻)·v̂, whatever the method."""
    given_1P = torch.ones(1, len(pairs.weight_P), dtype=torch.float64)
    unit_D = directions(method, pairs, given_1P)[0]
    gap_D = directions(DiffMean(), pairs, given_1P)[0]
    weighed_PD = pairs.weight_P[:, None] * (pairs.plus_PD - pairs.minus_PD)
    fitted = float(weighed_PD.sum(dim=0) @ unit_D / pairs.weight_P.sum())
    differences_PD = pairs.plus_PD - pairs.minus_PD
    projected = pairs.rows @ unit_D
    generator = torch.Generator().manual_seed(seed)
    plus_P, minus_P = (side[0] for side in held_out(method, pairs, given_1P))
    notes = LayerNotes(
        fitted_norm=fitted,
        reference_norm=reference_norm,
        projection=Spread(mean=float(projected.mean()), sd=float(projected.std())),
        pair_cosine=float(torch.nn.functional.cosine_similarity(differences_PD, gap_D[None], dim=1).mean()),
        split_half=_split_half(method, pairs, generator),
        auroc=auroc(plus_P, minus_P),
        dprime=dprime(plus_P, minus_P),
        null_auroc=_null(method, pairs, generator),
    )
    return unit_D, notes


def diagnosis(layers: dict[int, LayerNotes], pairs: int, *, unit: str = "pairs") -> Diagnosis:
    """All layers together, with the warnings a reader should see first. `unit` is what `pairs` counts."""
    best = suggested(layers)
    notes = layers[best]
    told = {
        f"layer {best}: pairs agree by {notes.pair_cosine or 0:.2f} only (< 0.1); steering may not work": (
            1.0 if notes.pair_cosine is None else notes.pair_cosine
        )
        < 0.1,
        f"layer {best}: halves of the data agree by {notes.split_half or 0:.2f} only (< 0.8)": (
            notes.split_half or 0
        )
        < 0.8,
        f"layer {best}: held-out AUROC {notes.auroc:.2f} is no better than shuffled labels ({notes.null_auroc:.2f})": (
            (notes.auroc or 0) <= (notes.null_auroc or 0)
        ),
        f"{pairs} {unit}; 32 or more make steadier directions": pairs < 32,
    }
    return Diagnosis(
        pairs=pairs, layers=layers, suggested=best, warnings=tuple(w for w, said in told.items() if said)
    )


def suggested(layers: Mapping[int, LayerNotes]) -> int:
    """The layer of the best held-out AUROC, then split-half; `InvalidInput` where none is known (imported files)."""
    known = {layer: notes for layer, notes in layers.items() if notes.auroc is not None}
    if not known:
        raise InvalidInput("nothing is known of how well any layer separates; name the layers")
    return max(known, key=lambda layer: (known[layer].auroc or 0.0, known[layer].split_half or 0.0))


def auroc(plus_N: Tensor, minus_M: Tensor) -> float:
    """Chance that a positive score exceeds a negative one; ties count half."""
    ordered_M = minus_M.sort().values
    below_N, at_most_N = (torch.searchsorted(ordered_M, plus_N, right=right) for right in (False, True))
    return float((below_N + at_most_N).double().mean() / (2 * len(minus_M)))


def held_out(method: Method, pairs: Pairs, sign_SP: Tensor) -> tuple[Tensor, Tensor]:
    """`[S, P]` positive and negative scores of every pair by a direction fitted without its fold.

    Scores are centred between the training means, so that folds compare. A sign of -1 swaps the sides of a pair.
    """
    plus_SP, minus_SP = torch.empty_like(sign_SP), torch.empty_like(sign_SP)
    fold_P = pairs.groups % FOLDS
    for fold in sorted(set(fold_P.tolist())):
        test = fold_P == fold
        unit_SD = directions(method, pairs.of(~test), sign_SP[:, ~test])
        a_SP, b_SP = unit_SD @ pairs.plus_PD.T, unit_SD @ pairs.minus_PD.T
        middle_S1 = (a_SP + b_SP)[:, ~test].mean(dim=1, keepdim=True) / 2
        swapped = sign_SP[:, test] < 0
        a_SP, b_SP = a_SP[:, test] - middle_S1, b_SP[:, test] - middle_S1
        plus_SP[:, test] = torch.where(swapped, b_SP, a_SP)
        minus_SP[:, test] = torch.where(swapped, a_SP, b_SP)
    return plus_SP, minus_SP


def one_half(group_N: Tensor, generator: torch.Generator) -> Tensor:
    """Which members belong to a random half of the groups."""
    count = int(group_N.max()) + 1
    first_G = torch.zeros(count, dtype=torch.bool)
    first_G[torch.randperm(count, generator=generator)[: count // 2]] = True
    return first_G[group_N]


def at_once(width: int, samples: int) -> int:
    """How many ways of assigning the sides are looked at together, so that memory stays small beside the rows."""
    return max(1, min(_MATRICES // width**2, _SCORES // samples))


def dprime(plus_P: Tensor, minus_P: Tensor) -> float:
    """Distance of the means over the root of the mean variance."""
    spread = ((plus_P.var() + minus_P.var()) / 2).sqrt().clamp_min(1e-30)
    return float((plus_P.mean() - minus_P.mean()) / spread)


def _split_half(method: Method, pairs: Pairs, generator: torch.Generator) -> float:
    """Mean cosine of the directions of two random halves."""
    cosines = []
    for _ in range(SPLITS):
        first_P = one_half(pairs.groups, generator)
        a_D, b_D = (
            directions(method, part, torch.ones(1, len(part.weight_P), dtype=torch.float64))[0]
            for part in (pairs.of(first_P), pairs.of(~first_P))
        )
        cosines.append(a_D @ b_D)
    return float(torch.stack(cosines).mean())


def _null(method: Method, pairs: Pairs, generator: torch.Generator) -> float:
    """95th percentile of the held-out AUROC when the sides of each pair are swapped at random."""
    group_P = pairs.groups
    sign_SG = torch.randint(0, 2, (SHUFFLES, int(group_P.max()) + 1), generator=generator).double() * 2 - 1
    found = []
    some = at_once(min(pairs.rows.shape), 2 * len(group_P))
    for at in range(0, SHUFFLES, some):
        scores = held_out(method, pairs, sign_SG[at : at + some, group_P])
        found += [auroc(plus_P, minus_P) for plus_P, minus_P in zip(*scores, strict=True)]
    return float(torch.tensor(found, dtype=torch.float64).quantile(0.95))
