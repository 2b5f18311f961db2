import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from symposia.core.errors import InvalidInput
from symposia.evals.statistics.bootstrap import _totals_by_value, bootstrap, quantile
from symposia.evals.statistics.interval import Interval


def exact_totals(values: dict[int, int]) -> dict[int, float]:
    """The distribution of the sum of a resample, by convolving one draw n times."""
    n = sum(values.values())
    low = min(values)
    one = np.zeros(max(values) - low + 1)
    for value, count in values.items():
        one[value - low] = count / n
    total = np.ones(1)
    for _ in range(n):
        total = np.convolve(total, one)
    return {low * n + i: p for i, p in enumerate(total)}


@pytest.mark.parametrize("values", [{-1: 7, 0: 60, 1: 13}, {0: 3, 1: 2}, {-2: 5, -1: 1, 0: 4, 1: 9, 2: 2}])
def test_drawing_by_value_is_resampling_items(values):
    """A resample drawn by value has the distribution of one drawn item by item, by its exact convolution."""
    from random import Random

    n, draws = sum(values.values()), 40_000
    drawn = list(_totals_by_value(sorted(values.items()), n, Random(5), draws))
    expected = {t: p * draws for t, p in exact_totals(values).items() if p * draws >= 5}
    seen = [sum(d == t for d in drawn) for t in expected]
    rest, rest_expected = draws - sum(seen), draws - sum(expected.values())
    found = stats.chisquare([*seen, rest], [*expected.values(), rest_expected])
    assert found.pvalue > 0.001


def test_it_is_scipys_percentile_interval():
    """The interval agrees with scipy's to what 10,000 draws leave open, by value and item by item."""
    random = np.random.default_rng(3)
    by_value = random.choice([-1, 0, 1], size=200, p=[0.1, 0.7, 0.2]).tolist()
    by_item = random.normal(0.3, 1.0, size=200).tolist()
    for values in (by_value, by_item):
        theirs = stats.bootstrap((values,), np.mean, n_resamples=20_000, method="percentile", rng=random)
        ours = bootstrap(values, seed=1)
        assert ours.low == pytest.approx(theirs.confidence_interval.low, abs=0.012)
        assert ours.high == pytest.approx(theirs.confidence_interval.high, abs=0.012)


def test_pairs_stay_together():
    """The interval of a paired difference is far narrower than one that resamples both sides apart."""
    here = [1] * 120 + [0] * 80
    there = [1] * 110 + [0] * 90  # wrong on ten items that the other gets right; the rest alike
    paired = bootstrap([a - b for a, b in zip(here, there, strict=True)], seed=0)
    apart = stats.bootstrap(
        (here, there), lambda a, b: np.mean(a) - np.mean(b), n_resamples=4000, method="percentile",
        rng=np.random.default_rng(0), vectorized=False,
    ).confidence_interval  # fmt: skip
    assert paired.low > 0 > apart.low
    assert paired.high - paired.low < (apart.high - apart.low) / 2


@given(st.lists(st.sampled_from([-1.0, -0.5, 0.0, 0.5, 1.0]), min_size=1, max_size=60), st.integers(0, 9))
def test_the_seed_decides(values, seed):
    """The same items and seed give the same interval, whatever their order; it lies within the items' range."""
    found = bootstrap(values, seed, draws=200)
    assert found == bootstrap(values[::-1], seed, draws=200)
    assert min(values) - 1e-9 <= found.low <= found.high <= max(values) + 1e-9


def test_what_never_varies_has_no_width():
    """Items that all score the same give an interval of that one value."""
    assert bootstrap([0.0] * 50, seed=0) == Interval(0.0, 0.0)


def test_nothing_has_no_interval():
    """No items: refused."""
    with pytest.raises(InvalidInput, match="at least one item"):
        bootstrap([], seed=0)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50), st.floats(0, 1))
def test_the_quantile_is_numpys(values, at):
    """Linear between neighbours, as numpy's default."""
    assert quantile(sorted(values), at) == pytest.approx(float(np.quantile(values, at)), rel=1e-9, abs=1e-6)
