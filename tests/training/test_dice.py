"""Promise: dice are reproducible, and `nats` is exactly -log P of the choices made."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.grammar.dice import Dice


@given(st.integers(0, 2**40), st.lists(st.integers(1, 9), min_size=1, max_size=8))
def test_uniform_choices_cost_log_of_their_number(seed: int, sizes: list[int]) -> None:
    """Picking among n equal options costs log n, whatever is picked."""
    dice = Dice(seed)
    for size in sizes:
        dice.pick(range(size))
    assert dice.nats == pytest.approx(sum(math.log(size) for size in sizes))


@given(st.integers(0, 2**40))
def test_weighted_choices_cost_their_own_log_probability(seed: int) -> None:
    """A weighted choice costs -log of the share of what was drawn."""
    dice = Dice(seed)
    drawn = dice.weighted((("a", 1.0), ("b", 3.0)))
    assert dice.nats == pytest.approx(-math.log({"a": 0.25, "b": 0.75}[drawn]))


def test_frequencies_follow_the_weights() -> None:
    """Weights are probabilities up to a factor."""
    dice = Dice(1)
    hits = sum(dice.chance(0.3) for _ in range(20_000))
    assert abs(hits / 20_000 - 0.3) < 0.015


@given(st.integers(0, 2**40), st.integers(0, 6))
def test_a_sample_has_no_repetition_and_costs_the_falling_factorial(seed: int, count: int) -> None:
    """`sample` draws without replacement; its cost is log(n! / (n - k)!)."""
    dice = Dice(seed)
    drawn = dice.sample(range(6), count)
    assert len(set(drawn)) == count
    assert dice.nats == pytest.approx(math.lgamma(7) - math.lgamma(7 - count))
