"""Shapley values: what each member adds to a team, averaged over every order in which the team could have formed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from math import factorial

from symposia.core.errors import InvalidInput


def coalitions(members: Sequence[str]) -> Iterator[frozenset[str]]:
    """Every subset, the empty and the whole one included, by size and then in the members' order."""
    for size in range(len(members) + 1):
        for chosen in combinations(members, size):
            yield frozenset(chosen)


def shapley(members: Sequence[str], worth: Mapping[frozenset[str], float]) -> dict[str, float]:
    """The exact value of each member (Shapley 1953); their sum is the whole's worth less the empty set's.

    `worth` must name every subset. Raises `InvalidInput` naming one that it does not.
    """
    missing = next((c for c in coalitions(members) if c not in worth), None)
    if missing is not None:
        raise InvalidInput(
            f"expected the worth of all {2 ** len(members)} subsets; none is given for "
            f"{{{', '.join(sorted(missing))}}}"
        )
    n = len(members)
    weight = [factorial(size) * factorial(n - size - 1) / factorial(n) for size in range(n)]
    return {
        member: sum(
            weight[len(others)] * (worth[others | {member}] - worth[others])
            for others in coalitions([m for m in members if m != member])
        )
        for member in members
    }
