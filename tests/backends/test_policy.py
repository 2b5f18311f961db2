"""Waits between attempts: bounded, spread, and the same for the same request."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from symposia.backends.policy import Retries


@given(st.text(), st.integers(1, 12))
def test_a_wait_is_drawn_below_its_bound(request: str, attempt: int) -> None:
    """U(0, min(8, 0.75·2^(k-1))), and the same draw for the same request and attempt."""
    wait = Retries().wait_s(request, attempt)
    assert 0 <= wait <= min(8.0, 0.75 * 2 ** (attempt - 1))
    assert wait == Retries().wait_s(request, attempt)


def test_waits_of_many_requests_are_spread() -> None:
    """A crowd that failed together does not come back together."""
    waits = [Retries().wait_s(f"sha256:{n:064x}", 3) for n in range(1_000)]
    assert len(set(waits)) == 1_000
    assert max(waits) > 2.9
    assert min(waits) < 0.1
    assert 1.4 < sum(waits) / 1_000 < 1.6


def test_attempts_differ() -> None:
    """Each attempt of a request draws for itself."""
    assert len({Retries(first_wait_s=8.0).wait_s("r", k) for k in range(1, 5)}) == 4
