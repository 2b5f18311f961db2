import gc
from collections.abc import Iterator
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar as their_mcnemar
from statsmodels.stats.multitest import multipletests

from symposia.evals.statistics.paired import Discordant, discordant, holm, mcnemar, sign_flip

HALVES = st.sampled_from([Fraction(k, 3) for k in range(-3, 4)])


@given(st.integers(0, 300), st.integers(0, 300))
def test_mcnemar_is_statsmodels(fixed, broken):
    """The exact p is the one statsmodels gives; 1 where nothing is discordant."""
    theirs = their_mcnemar([[0, fixed], [broken, 0]], exact=True).pvalue if fixed + broken else 1.0
    assert mcnemar(fixed, broken) == pytest.approx(min(1.0, theirs), rel=1e-9)


@given(st.lists(st.booleans(), max_size=40))
def test_a_method_against_itself(right):
    """Identical methods: nothing fixed, nothing broken, p = 1."""
    found = discordant((r, r) for r in right)
    assert found == Discordant(n=len(right), fixed=0, broken=0)
    assert mcnemar(found.fixed, found.broken) == 1.0


def test_fixed_and_broken_keep_their_sides():
    """Fixed counts what is right here and wrong there; broken the other way round."""
    pairs = [(True, False)] * 3 + [(False, True)] + [(True, True)] * 5 + [(False, False)]
    assert discordant(pairs) == Discordant(n=10, fixed=3, broken=1)


@given(st.lists(HALVES, max_size=9))
def test_sign_flips_are_all_tried(differences):
    """The p is the share of all sign assignments whose mean is as far from 0, counted one by one."""
    observed = abs(sum(differences))
    flips = list(product((1, -1), repeat=len(differences)))
    extreme = sum(
        abs(sum(s * d for s, d in zip(signs, differences, strict=True))) >= observed for signs in flips
    )
    assert sign_flip(differences, seed=0) == pytest.approx(extreme / len(flips), abs=1e-12)


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 9))
def test_mcnemar_is_the_sign_flip_of_single_results(fixed, broken, same):
    """With one result an item the two tests are one."""
    differences = [Fraction(1)] * fixed + [Fraction(-1)] * broken + [Fraction(0)] * same
    assert sign_flip(differences, seed=0) == pytest.approx(mcnemar(fixed, broken), rel=1e-12)


def test_sign_flip_is_scipys():
    """scipy's permutation test of paired samples gives the same p."""
    differences = [Fraction(k, 4) for k in (3, -1, 2, 2, 0, 1, -2, 4, 1, 1)]
    theirs = stats.permutation_test(
        ([float(d) for d in differences],), np.mean, permutation_type="samples", n_resamples=np.inf
    )
    assert sign_flip(differences, seed=0) == pytest.approx(theirs.pvalue, abs=1e-12)


def test_a_thousand_items_are_exact_and_close_to_normal():
    """Many items are still counted exactly, and agree with the normal approximation where that holds."""
    differences = [Fraction(k, 5) for k in (1, -1, 2, 0, 3, -2, 1, -1, 0, -2) * 100]
    spread = sum(float(d) ** 2 for d in differences) ** 0.5
    normal = 2 * stats.norm.sf((float(sum(differences)) - 0.2) / spread)  # half a step of two fifths
    assert sign_flip(differences, seed=0) == pytest.approx(normal, rel=0.01)


def test_what_is_too_large_to_count_is_drawn():
    """Differences without small common denominators are flipped at random, near the exact p, from the seed."""
    differences = [Fraction(k, d) for k, d in ((1, 2), (2, 3), (-1, 5), (3, 7), (1, 11), (5, 13), (-4, 17))]
    exact = sign_flip(differences, seed=0)
    drawn = sign_flip(differences, seed=0, most_bits=0)
    assert drawn == pytest.approx(exact, abs=0.02)
    assert drawn == sign_flip(differences, seed=0, most_bits=0)


@pytest.fixture(scope="module")
def nothing_to_collect() -> Iterator[None]:
    """multipletests collects garbage at every call; what is there already is left out of it."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("nothing_to_collect")
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_is_statsmodels(ps):
    """Adjusted p-values are the ones statsmodels gives, in the order asked."""
    assert holm(ps) == pytest.approx(multipletests(ps, method="holm")[1], abs=1e-12)


def test_holm_of_nothing():
    """No comparisons, nothing to adjust."""
    assert holm(()) == ()
