from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symposia.core.errors import InvalidInput
from symposia.evals.statistics.shapley import coalitions, shapley


def by_orders(members, worth):
    """What each adds when the members arrive one by one, averaged over every order of arrival."""
    added = dict.fromkeys(members, 0.0)
    orders = list(permutations(members))
    for order in orders:
        here = frozenset()
        for member in order:
            added[member] += worth[here | {member}] - worth[here]
            here |= {member}
    return {member: total / len(orders) for member, total in added.items()}


@st.composite
def games(draw):
    members = tuple("abcde"[: draw(st.integers(1, 5))])
    return members, {c: draw(st.sampled_from([0.0, 0.5, 1.0])) for c in coalitions(members)}


@given(games())
def test_weights_are_the_orders(game):
    """The weighted sum over subsets is the average over all orders; the values add up to the whole's worth."""
    members, worth = game
    found = shapley(members, worth)
    assert found == pytest.approx(by_orders(members, worth))
    assert sum(found.values()) == pytest.approx(worth[frozenset(members)] - worth[frozenset()])


def test_every_subset_is_needed():
    """A missing subset is named, not taken for worthless."""
    with pytest.raises(InvalidInput, match=r"all 4 subsets.*\{a, b\}"):
        shapley(("a", "b"), {frozenset(): 0.0, frozenset("a"): 1.0, frozenset("b"): 0.0})
