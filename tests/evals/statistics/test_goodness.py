import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

from symposia.core.errors import InvalidInput
from symposia.evals.statistics.goodness import chi_square, upper_gamma


@given(st.lists(st.integers(0, 200), min_size=2, max_size=8).filter(any))
def test_chi_square_is_scipys(observed):
    """Statistic and p are scipy's, for counts expected to be equal."""
    expected = [sum(observed) / len(observed)] * len(observed)
    found, theirs = chi_square(observed, expected), stats.chisquare(observed, expected)
    assert found.freedom == len(observed) - 1
    assert found.statistic == pytest.approx(theirs.statistic, rel=1e-9)
    assert found.p == pytest.approx(theirs.pvalue, rel=1e-8, abs=1e-14)


def test_expectations_may_differ():
    """Where candidates were not offered equally often, each position has its own expectation."""
    observed, expected = [12, 30, 18], [20.0, 25.0, 15.0]
    assert chi_square(observed, expected).p == pytest.approx(stats.chisquare(observed, expected).pvalue)


@given(st.floats(0.5, 200), st.floats(0, 400))
def test_the_tail_is_scipys(a, x):
    """The regularised upper gamma function, on both sides of where the method changes."""
    assert upper_gamma(a, x) == pytest.approx(special.gammaincc(a, x), rel=1e-8, abs=1e-13)


@pytest.mark.parametrize(
    ("observed", "expected"), [([3], [3.0]), ([1, 2], [1.0]), ([1, 2], [0.0, 3.0]), ([1, 2], [1.0, 1.0])]
)
def test_expectations_must_fit(observed, expected):
    """Too few counts, missing, impossible or unequal expectations: refused."""
    with pytest.raises(InvalidInput, match="expect"):
        chi_square(observed, expected)
