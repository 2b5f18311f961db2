"""Fitting methods against scikit-learn and their own laws (promise 11)."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from symposia.interp.diagnose import examine
from symposia.interp.methods import Caa, DiffMean, Lat, Lda, Logistic, Pairs, Pca, directions, probe

METHODS = [DiffMean(), Caa(), Pca(), Pca(centre=True), Lat(), Logistic(), Logistic(pattern=True), Lda()]
SHAPES = [(12, 40), (60, 24)]  # pairs, width: fewer rows than numbers, and more


def planted(n, width, strength=3.0, seed=0):
    """Two sides along a direction, in noise of unequal size, and the direction."""
    generator = torch.Generator().manual_seed(seed)
    unit = torch.nn.functional.normalize(torch.randn(width, generator=generator, dtype=torch.float64), dim=0)
    spread = 0.3 + torch.rand(width, generator=generator, dtype=torch.float64)
    shared = torch.randn(n, width, generator=generator, dtype=torch.float64) * spread
    noise = torch.randn(2, n, width, generator=generator, dtype=torch.float64) * spread
    size = strength * (0.5 + torch.rand(n, 1, generator=generator, dtype=torch.float64))
    plus, minus = shared + 0.5 * noise[0] + size * unit, shared + 0.5 * noise[1]
    return unit, Pairs(plus, minus, torch.ones(n, dtype=torch.float64))


def one(method, pairs):
    return directions(method, pairs, torch.ones(1, len(pairs.weight_P), dtype=torch.float64))[0]


def unit(vector):
    vector = torch.as_tensor(vector, dtype=torch.float64).flatten()
    return vector / vector.norm()


def labelled(pairs):
    n = len(pairs.weight_P)
    return pairs.rows.numpy(), [1] * n + [0] * n


@pytest.mark.parametrize("method", METHODS, ids=str)
@pytest.mark.parametrize(("n", "width"), SHAPES)
def test_a_planted_direction_comes_back_signed(method, n, width):
    """Positive rows project higher; methods that look at the gap find it."""
    truth, pairs = planted(n, width, 6.0)
    found = one(method, pairs)
    assert float(found.norm()) == pytest.approx(1.0)
    assert float((pairs.plus_PD - pairs.minus_PD).mean(dim=0) @ found) > 0
    if isinstance(method, DiffMean | Caa) or method == Pca(centre=True):
        assert float(found @ truth) > 0.9


@pytest.mark.parametrize("c", [1.0, 0.05])
@pytest.mark.parametrize(("n", "width"), SHAPES)
def test_logistic_is_scikit_learns_on_z_scored_rows(n, width, c):
    """Weight divided by σ; with `pattern` times the covariance."""
    _, pairs = planted(n, width, 0.5)
    rows, labels = labelled(pairs)
    scaler = StandardScaler().fit(rows)
    model = LogisticRegression(C=c, tol=1e-12, max_iter=20_000).fit(scaler.transform(rows), labels)
    weight = unit(model.coef_) * 1.0 / torch.from_numpy(scaler.scale_)
    assert float(one(Logistic(c=c), pairs) @ unit(weight)) > 0.9999
    covariance = torch.from_numpy(rows).T.cov(correction=0)
    assert float(one(Logistic(c=c, pattern=True), pairs) @ unit(covariance @ weight)) > 0.9999


@pytest.mark.parametrize(("n", "width"), SHAPES)
def test_a_probe_gives_scikit_learns_probabilities(n, width):
    """Weight and bias on rows as they are; a number that never changes does not count."""
    _, pairs = planted(n, width, 0.5)
    for side in (pairs.plus_PD, pairs.minus_PD):
        side[:, 3] = 7.0
    rows, labels = labelled(pairs)
    scaler = StandardScaler().fit(rows)
    model = LogisticRegression(C=0.5, tol=1e-12, max_iter=20_000).fit(scaler.transform(rows), labels)
    side_N = torch.from_numpy(np.where(np.asarray(labels) > 0, 1.0, -1.0))
    weight, bias = probe(Logistic(c=0.5), torch.from_numpy(rows), side_N, torch.ones(len(rows)).double())
    others = torch.from_numpy(rows) + torch.randn(
        *rows.shape, generator=torch.Generator().manual_seed(9), dtype=torch.float64
    )
    others[:, 3] = 7.0
    expected = torch.from_numpy(model.predict_proba(scaler.transform(others.numpy()))[:, 1])
    assert torch.allclose((others @ weight + bias).sigmoid(), expected, atol=1e-5)
    assert float(one(Logistic(c=0.5), pairs) @ unit(weight)) > 0.999999


@pytest.mark.parametrize("shrink", [1e-2, 0.5])
@pytest.mark.parametrize(("n", "width"), SHAPES)
def test_lda_is_scikit_learns_with_that_ridge(n, width, shrink):
    """Solved in the span of the rows where there are fewer rows than numbers: the same direction."""
    _, pairs = planted(n, width, 1.0)
    rows, labels = labelled(pairs)

    within = sum((s - s.mean(dim=0)).T @ (s - s.mean(dim=0)) for s in (pairs.plus_PD, pairs.minus_PD))
    within = within / (2 * n - 2)
    ridge = shrink * within.trace() / width * torch.eye(width, dtype=torch.float64)
    expected = torch.linalg.solve(within + ridge, (pairs.plus_PD - pairs.minus_PD).mean(dim=0))
    assert float(one(Lda(shrink=shrink), pairs) @ unit(expected)) > 0.9999
    if n > width:
        plain = LinearDiscriminantAnalysis(solver="eigen").fit(rows, labels)
        assert float(one(Lda(shrink=0.0), pairs) @ unit(plain.coef_)) > 0.9999


@pytest.mark.parametrize(("n", "width"), SHAPES)
def test_pca_is_scikit_learns(n, width):
    """Of the differences, and of both sides less the pair's mean."""
    _, pairs = planted(n, width, 1.0)
    differences = pairs.plus_PD - pairs.minus_PD
    expected = unit(PCA(n_components=1, svd_solver="full").fit(differences.numpy()).components_)
    assert abs(float(one(Pca(), pairs) @ expected)) > 0.9999
    middle = (pairs.plus_PD + pairs.minus_PD) / 2
    both = torch.cat([pairs.plus_PD - middle, pairs.minus_PD - middle])
    expected = unit(PCA(n_components=1, svd_solver="full").fit(both.numpy()).components_)
    assert abs(float(one(Pca(centre=True), pairs) @ expected)) > 0.9999


def test_caa_is_diff_mean_on_balanced_pairs():
    """The mean of differences is the difference of means."""
    _, pairs = planted(20, 30)
    assert torch.equal(one(Caa(), pairs), one(DiffMean(), pairs))


@pytest.mark.parametrize("method", METHODS, ids=str)
def test_many_assignments_are_each_fitted_alone(method):
    """Swapped sides in one call give what swapping the rows gives."""
    _, pairs = planted(14, 25, 1.0)
    signs = torch.ones(3, 14, dtype=torch.float64)
    signs[1, ::2] = -1
    signs[2, 3] = -1
    together = directions(method, pairs, signs)
    for sign, found in zip(signs, together, strict=True):
        swap = (sign < 0)[:, None]
        turned = Pairs(
            torch.where(swap, pairs.minus_PD, pairs.plus_PD),
            torch.where(swap, pairs.plus_PD, pairs.minus_PD),
            pairs.weight_P,
        )
        if isinstance(method, Lat):
            continue  # pairs its rows by their place
        assert float(found @ one(method, turned)) > 1 - 1e-9


@pytest.mark.parametrize("method", [Logistic(), Lda(), Pca(centre=True), Lat()], ids=str)
def test_notes_and_the_null_band_hold_for_every_method(method):
    """A real difference lies above what swapped sides give, noise within it."""
    _, pairs = planted(40, 60, 3.0)
    _, notes = examine(method, pairs, reference_norm=1.0, seed=0)
    assert notes.auroc > notes.null_auroc
    assert notes.auroc > 0.9 or isinstance(method, Lda | Lat)  # theirs is not the way of these rows
    assert notes.fitted_norm > 1.0
    inside = 0
    for seed in range(6):
        _, noise = planted(40, 60, 0.0, seed)
        _, notes = examine(method, noise, reference_norm=1.0, seed=0)
        inside += notes.auroc <= notes.null_auroc
    assert inside >= 4


def test_weights_count_pairs():
    """A pair of weight 2 is a pair that stands twice."""
    _, pairs = planted(10, 8, 1.0)
    weighed = Pairs(pairs.plus_PD, pairs.minus_PD, torch.tensor([2.0] + [1.0] * 9, dtype=torch.float64))
    again = Pairs(
        torch.cat([pairs.plus_PD[:1], pairs.plus_PD]),
        torch.cat([pairs.minus_PD[:1], pairs.minus_PD]),
        torch.ones(11, dtype=torch.float64),
    )
    for method in (DiffMean(), Pca(), Pca(centre=True)):
        assert float(one(method, weighed) @ one(method, again)) > 1 - 1e-9
