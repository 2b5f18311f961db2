"""The decision to let a call begin, with integers for time: never too much in any window, never later than needed."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from symposia.backends.pace import Grant, Pace
from symposia.backends.remaining import Remaining

RPM, TPM = 4, 100


@dataclass
class Done:
    """A call as the test remembers it."""

    at: int
    tokens: int


def within(done: list[Done], now: int) -> list[Done]:
    return [d for d in done if d.at <= now < d.at + 60]


def fits(done: list[Done], now: int, tokens: int) -> bool:
    """The rule itself, without a data structure."""
    inside = within(done, now)
    return len(inside) < RPM and sum(d.tokens for d in inside) + tokens <= TPM


calls = st.lists(st.tuples(st.integers(0, 45), st.integers(1, TPM), st.integers(0, 100)), max_size=40)


@given(calls)
def test_no_window_exceeds_a_limit_and_no_call_waits_longer_than_needed(
    asked: list[tuple[int, int, int]],
) -> None:
    """Each call begins at the first moment at which requests and tokens of the 60 s behind it leave room."""
    pace, done, now = Pace(RPM, TPM), [], 0
    for gap, tokens, percent in asked:
        now += gap
        due = pace.due(now, tokens)
        earliest = next(t for t in range(now, now + 61) if fits(done, t, tokens))
        assert due == earliest
        now = earliest
        grant = pace.grant(now, tokens)
        used = tokens * percent // 100
        pace.settle(grant, used)
        pace.leave()
        done.append(Done(now, used))
    for start in {d.at for d in done}:
        window = [d for d in done if start <= d.at < start + 60]
        assert len(window) <= RPM
        assert sum(d.tokens for d in window) <= TPM


@given(st.lists(st.integers(1, 50), max_size=12), st.integers(0, 5), st.integers(0, 200))
def test_a_late_settlement_counts_where_its_call_began(sizes: list[int], which: int, later: int) -> None:
    """Settling after the call has left the window changes nothing; before, it frees exactly what was not used."""
    pace = Pace(None, 10_000)
    grants = [pace.grant(0, size) for size in sizes]
    if which < len(grants):
        pace.due(later, 1)
        pace.settle(grants[which], 0)
        sizes[which] = 0
    room = 10_000 - (sum(sizes) if later < 60 else 0)
    assert pace.due(later, room) == later
    assert later >= 60 or not sizes or pace.due(later, room + 1) != later


def test_a_call_that_used_more_than_reserved_delays_the_next() -> None:
    """Reconciling may go below zero; then nothing begins before the window has room again."""
    pace = Pace(None, 100)
    pace.settle(pace.grant(0, 10), 250)
    assert pace.due(1, 1) == 60


def test_calls_in_flight_are_capped() -> None:
    """A full house is no matter of time: None until somebody leaves."""
    pace = Pace(most=2)
    pace.grant(0, 1)
    pace.grant(0, 1)
    assert pace.due(1000, 1) is None
    pace.leave()
    assert pace.due(1000, 1) == 1000


def refused(pace: Pace, n: int = 1) -> list[Grant]:
    grants = [pace.grant(0, 1) for _ in range(n)]
    for grant in grants:
        pace.refused(grant)
        pace.leave()
    return grants


def test_a_429_halves_the_cap_and_twenty_successes_add_one() -> None:
    """64, 32, 16 ... 1, never 0; then one more for every twenty answers, up to where it began."""
    pace, caps = Pace(most=64), []
    for _ in range(8):
        refused(pace)
        caps.append(pace.cap)
    assert caps == [32, 16, 8, 4, 2, 1, 1, 1]
    for n in range(1, 61):
        pace.answered(pace.grant(0, 1), 1)
        pace.leave()
        assert pace.cap == 1 + n // 20
    for _ in range(20 * 70):
        pace.answered(pace.grant(0, 1), 1)
        pace.leave()
    assert pace.cap == 64


def test_a_burst_of_429s_is_one_sign() -> None:
    """Sixteen refused together halve once: they all flew under the old cap."""
    pace = Pace(most=64)
    refused(pace, 16)
    assert pace.cap == 32


def test_a_429_begins_the_counting_of_successes_anew() -> None:
    """Nineteen answers before a refusal do not count after it."""
    pace = Pace(most=8)
    for _ in range(19):
        pace.answered(pace.grant(0, 1), 1)
        pace.leave()
    refused(pace)
    pace.answered(pace.grant(0, 1), 1)
    assert pace.cap == 4


def test_a_pause_holds_everybody_and_never_shrinks() -> None:
    """Nothing begins before the later of two pauses."""
    pace = Pace()
    pace.pause(30)
    pace.pause(10)
    assert pace.due(5, 1) == 30
    assert pace.due(31, 1) == 31


def test_the_server_is_believed_when_it_says_less() -> None:
    """One request left means one; the next waits for the reset, at most a window; a higher number frees nothing."""
    pace = Pace(rpm=100)
    first = pace.grant(0, 1)
    pace.believe(first, Remaining(requests=1, requests_reset_s=20), 0)
    assert pace.due(0, 1) == 0
    pace.grant(0, 1)
    assert pace.due(1, 1) == 20
    assert pace.due(20, 1) == 20

    pace = Pace(rpm=1)
    pace.believe(pace.grant(0, 1), Remaining(requests=1_000), 0)
    assert pace.due(1, 1) == 60


def test_tokens_left_are_believed_too() -> None:
    """A call larger than what is left waits for the reset; a smaller one goes."""
    pace = Pace()
    pace.believe(pace.grant(0, 5), Remaining(tokens=50), 0)
    assert pace.due(0, 50) == 0
    assert pace.due(0, 51) == 60
    pace.grant(0, 30)
    assert pace.due(0, 30) == 60


def test_calls_granted_before_the_reply_that_speaks_are_not_taken_off_it_twice() -> None:
    """`remaining` already counts what came before it; only later grants come off."""
    pace = Pace()
    early = [pace.grant(0, 1) for _ in range(3)]
    pace.believe(early[2], Remaining(requests=1), 0)
    assert pace.due(0, 1) == 0
    pace.believe(early[0], Remaining(requests=2), 0)
    assert pace.due(0, 1) == 60
