import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint

from symposia.core.errors import InvalidInput
from symposia.evals.statistics.interval import Interval, wilson, wording

TRIALS = st.integers(1, 2000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(TRIALS, st.sampled_from([0.8, 0.9, 0.95, 0.99]))
def test_wilson_is_statsmodels(trials, level):
    """The interval of a proportion is the one statsmodels gives, at every level."""
    low, high = proportion_confint(*trials, alpha=1 - level, method="wilson")
    assert wilson(*trials, level) == Interval(pytest.approx(low, abs=1e-12), pytest.approx(high, abs=1e-12))


@pytest.mark.parametrize(("successes", "n"), [(0, 0), (3, 2), (-1, 4)])
def test_nothing_is_known_of_no_trials(successes, n):
    """A proportion of nothing, or of impossible counts, is refused."""
    with pytest.raises(InvalidInput, match="successes"):
        wilson(successes, n)


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [(0.01, 0.2, "better"), (-0.2, -0.01, "worse"), (-0.1, 0.1, "not shown"), (0.0, 0.2, "not shown")],
)
def test_the_wording_comes_from_the_interval(low, high, said):
    """An interval that touches 0 shows nothing, on whichever side it lies."""
    assert wording(Interval(low, high)) == said
