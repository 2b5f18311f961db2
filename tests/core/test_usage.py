"""Money: exact as decimals are, unknown where it is unknown, and one price for all who read it."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from symposia.core.errors import InvalidInput
from symposia.core.prices import ListedPrice
from symposia.core.usage import NOTHING, Price, Usage

cents = st.decimals(0, 1000, places=4)
counts = st.integers(0, 10_000_000)


@given(cents, cents, cents, cents, st.tuples(counts, counts, counts, counts))
def test_a_cost_is_the_exact_decimal(
    fresh_price: Decimal, cached_price: Decimal, written_price: Decimal, output_price: Decimal, tokens: tuple
) -> None:
    """Tokens times USD per million, kind by kind, to the last digit: what a calculation by hand gives."""
    fresh, cached, written, output = tokens
    price = Price(
        input=float(fresh_price),
        cached=float(cached_price),
        cache_write=float(written_price),
        output=float(output_price),
    )
    used = Usage(
        input_tokens=fresh + cached + written,
        cached_tokens=cached,
        cache_write_tokens=written,
        output_tokens=output,
    )
    by_hand = fresh * fresh_price + cached * cached_price + written * written_price + output * output_price
    assert price.of(used) == float(by_hand / 1_000_000)


@given(st.lists(st.decimals(0, 10, places=6), max_size=50))
def test_sums_do_not_drift(costs: list[Decimal]) -> None:
    """Ten times ten cents are one dollar; the sum of costs is the sum of the decimals they show."""
    total = NOTHING
    for cost in costs:
        total = total + Usage(cost_usd=float(cost))
    assert total.cost_usd == float(sum(costs))
    assert total.calls == len(costs)


def test_one_unknown_cost_makes_the_sum_unknown() -> None:
    """An unpriced call is never free."""
    assert (Usage(cost_usd=1.0) + Usage()).cost_usd is None


def test_kinds_without_a_price_of_their_own_cost_as_input_does() -> None:
    """Nothing is free because its price was left out."""
    price = Price(input=2.0, output=0.0)
    used = Usage(input_tokens=3, cached_tokens=1, cache_write_tokens=1)
    assert price.of(used) == 6e-06


def test_a_price_list_may_use_either_name_of_cached_input() -> None:
    """One number, two names; two numbers for it are refused."""
    assert ListedPrice(input=0.15, output=0.6, cached_input=0.075).price("p") == Price(
        input=0.15, cached=0.075, output=0.6
    )
    assert ListedPrice(input=1, output=2, cached=0, cached_input=0).price("p").cached == 0
    with pytest.raises(InvalidInput, match="p: cached and cached_input are one number; got 2, 3"):
        ListedPrice(input=1, output=2, cached=2, cached_input=3).price("p")


def test_money_in_json_reads_as_it_was_written() -> None:
    """A cost is a number with the digits of its decimal."""
    cost = Price(input=0.15, output=0.6).of(Usage(input_tokens=1003, output_tokens=77))
    assert b'"cost_usd":0.00019665' in msgspec.json.encode(Usage(cost_usd=cost))
