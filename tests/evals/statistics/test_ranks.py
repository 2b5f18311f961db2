import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from symposia.core.errors import InvalidInput
from symposia.evals.statistics.ranks import ranks, spearman

PAIRS = st.lists(st.tuples(st.integers(0, 9), st.integers(-5, 5)), min_size=3, max_size=40)


@given(PAIRS)
def test_spearman_is_scipys(pairs):
    """The correlation of ranks, ties included, is scipy's; where one side never varies there is none."""
    xs, ys = zip(*pairs, strict=True)
    assert ranks(xs) == stats.rankdata(xs).tolist()
    found = spearman(xs, ys)
    if len(set(xs)) == 1 or len(set(ys)) == 1:
        assert found is None
    else:
        assert found == pytest.approx(stats.spearmanr(xs, ys).statistic, abs=1e-12)


def test_pairs_only():
    """Two columns of different length are refused; of nothing there is no correlation."""
    with pytest.raises(InvalidInput, match="pairs"):
        spearman([1, 2], [1])
    assert spearman([], []) is None
