"""The breaker: ten exhausted calls in a row open it for 30 s."""

from __future__ import annotations

import pytest

from symposia.backends.breaker import Breaker
from symposia.core.errors import BackendError


def opened() -> Breaker:
    breaker = Breaker("x")
    for _ in range(10):
        breaker.check(0.0)
        breaker.exhausted(0.0)
    return breaker


def test_ten_in_a_row_open_it_for_thirty_seconds() -> None:
    """Nine do not; after the tenth every call fails at once, saying for how long."""
    breaker = opened()
    with pytest.raises(BackendError, match="another 20 s") as caught:
        breaker.check(10.0)
    assert (caught.value.cause, caught.value.retry_after_s, caught.value.attempts) == (
        "breaker_open",
        20.0,
        0,
    )
    breaker.check(30.0)


def test_an_answer_breaks_the_row() -> None:
    """Nine, an answer, nine: still closed."""
    breaker = Breaker("x")
    for round_ in range(2):
        for _ in range(9):
            breaker.exhausted(0.0)
        breaker.check(0.0)
        if round_ == 0:
            breaker.answered()


def test_after_the_time_one_call_tries_for_all() -> None:
    """The first call after 30 s goes through, a second beside it does not; its end decides."""
    failed, cured = opened(), opened()
    for breaker in (failed, cured):
        breaker.check(30.0)
        with pytest.raises(BackendError):
            breaker.check(30.0)
    failed.exhausted(31.0)
    with pytest.raises(BackendError):
        failed.check(60.9)
    failed.check(61.0)
    cured.answered()
    cured.check(31.0)
    cured.check(31.0)
