"""Promise: a history is linearizable exactly if an order of its calls that keeps to real time explains it."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from symposia.testing.linearizable import Call, linearized


def register(state: int, what: tuple[str, int]) -> int | None:
    """A number that can be written, and read as what was written last."""
    kind, value = what
    if kind == "write":
        return value
    return state if value == state else None


calls = st.lists(
    st.builds(
        lambda begun, lasts, kind, value: Call(begun, begun + lasts, (kind, value)),
        st.integers(0, 12),
        st.integers(0, 6),
        st.sampled_from(("read", "write")),
        st.integers(0, 2),
    ),
    max_size=6,
)


def explains(order: tuple[Call[tuple[str, int]], ...]) -> bool:
    if any(later.ended < earlier.begun for earlier, later in itertools.combinations(order, 2)):
        return False
    state: int | None = 0
    for call in order:
        state = register(state, call.what)
        if state is None:
            return False
    return True


@given(calls)
def test_the_search_finds_an_order_exactly_if_there_is_one(history) -> None:
    """Told the long way: every permutation is tried."""
    found = linearized(history, 0, register)
    assert (found is not None) == any(map(explains, itertools.permutations(history)))
    if found is not None:
        assert explains(tuple(found))
        assert sorted(found) == sorted(history)
