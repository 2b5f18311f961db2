"""Promise 11: no 60 s window exceeds rpm or tpm; leases settle; the sum of settlements is the ledger.

With random cancels on a virtual clock, against a server's own count of the same limits, and in a storm of 429s.
"""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symposia.backends.governor import Governor
from symposia.backends.pace import Pace
from symposia.backends.policy import Policy, Retries
from symposia.core.clock import VirtualClock
from symposia.core.profile import Participant, Profile
from symposia.core.request import Completion, Retrying
from symposia.talk.converse import converse
from symposia.talk.ledger import Ledger
from symposia.talk.protocols import RoundRobin
from symposia.testing.faults import FaultyUpstream, Received, Storm
from tests.backends.asking import MODEL, asked, hosts, of
from tests.backends.crowd import Crowd
from tests.examples import examples

RPM, TPM = 5, 300
calls = st.tuples(
    st.integers(1, TPM),
    st.integers(0, 90),
    st.sampled_from(["answered", "answered", "refused", "raises", "left"]),
)
cancels = st.dictionaries(st.integers(0, 24), st.integers(0, 200), max_size=12)


@examples(200)
@given(st.lists(calls, min_size=8, max_size=25), cancels, st.integers(1, 6))
async def test_no_window_exceeds_rpm_or_tpm_whatever_is_cancelled(
    wanted: list[tuple[int, int, str]], cancelled: dict[int, int], concurrency: int
) -> None:
    """Random callers and cancels: limits hold over every 60 s, order is kept, every lease comes back, sums agree."""
    clock = VirtualClock()
    crowd = Crowd(Governor("x", clock=clock, rpm=RPM, tpm=TPM, concurrency=concurrency), clock)
    tasks = [asyncio.ensure_future(crowd.call(n, *call)) for n, call in enumerate(wanted)]

    async def cancel(number: int, after_s: int) -> None:
        await clock.sleep(after_s)
        if number < len(tasks):
            tasks[number].cancel()

    ends = [cancel(number, after_s) for number, after_s in cancelled.items()]
    await clock.run(asyncio.gather(*tasks, *ends, return_exceptions=True))
    assert crowd.governor.in_flight == 0
    assert crowd.governor.settled == crowd.settled
    assert crowd.order == sorted(crowd.order)
    for start, _ in crowd.begun.values():
        window = [used for at, used in crowd.begun.values() if start <= at < start + 60]
        assert len(window) <= RPM
        assert sum(window) <= TPM
    await clock.run(crowd.call(len(wanted), TPM, 0, "answered"))
    assert crowd.order[-1] == len(wanted)


spaced = st.lists(st.tuples(st.integers(0, 50), st.integers(1, 90)), min_size=1, max_size=40)


@given(spaced, st.integers(1, 6), st.integers(100, 200))
def test_what_the_client_lets_begin_a_server_lets_pass(
    wanted: list[tuple[int, int]], rpm: int, tpm: int
) -> None:
    """Whoever waits as the governor says is never refused by a server that counts the same limits its own way."""
    pace, storm, now = Pace(rpm, tpm), Storm(rpm, tpm), 0.0
    for gap, tokens in wanted:
        sent = Received(0, "POST", "/v1/chat/completions", {}, {"max_tokens": tokens})
        whole = sent.prompt_tokens + tokens
        due = pace.due(now + gap, whole)
        assert due is not None
        now = due
        pace.grant(now, whole)
        pace.leave()
        assert storm.retry_after_s(sent, now) is None


async def test_sixty_callers_under_one_key_stay_within_its_limits() -> None:
    """All of them are served, at the rate the limits allow, to the second."""
    clock = VirtualClock()
    governor, storm = Governor("x", clock=clock, rpm=20), Storm(rpm=20)

    async def call(number: int) -> float:
        async with governor.lease(10) as lease:
            sent = Received(number, "POST", "/v1/chat/completions", {}, {"max_tokens": 10})
            assert storm.retry_after_s(sent, clock.monotonic()) is None
            lease.answered(10)
            return clock.monotonic()

    began = await clock.run(asyncio.gather(*(call(n) for n in range(60))))
    assert sorted(began) == [0.0] * 20 + [60.0] * 20 + [120.0] * 20
    assert governor.settled == 600


async def test_a_storm_of_429s_ends_with_every_call_answered_and_counted() -> None:
    """More calls at once than a window takes: all are answered, and their attempts are the requests the server saw."""
    policy = Policy(retries=Retries(attempts=50, first_wait_s=0.0))
    async with FaultyUpstream(storm=Storm(rpm=4, window_s=0.05)) as server:
        backend = hosts(policy=policy).backend("up", of("openai", server))

        async def call(seed: int) -> tuple[Completion, list[Retrying]]:
            items = [item async for item in backend.generate(asked(seed=seed))]
            return items[-1], [item for item in items if isinstance(item, Retrying)]

        done = await asyncio.gather(*(call(seed) for seed in range(12)))
        await backend.aclose()
    assert sum(whole.usage.attempts for whole, _ in done) == len(server.asked)
    assert sum(len(retried) for _, retried in done) == len(server.asked) - 12 > 0
    assert {item.cause for _, retried in done for item in retried} == {"rate_limited"}


@pytest.mark.parametrize("plan", ["429:retry-after-ms=1,500,200", "200", "no-usage", "eof,200,truncated,200"])
async def test_the_sum_of_settlements_is_the_ledger(plan: str) -> None:
    """What the governor settled is what the ledger counts, token for token, whatever failed on the way."""
    ledger, clock = Ledger(), VirtualClock()
    async with FaultyUpstream(plan) as server:
        backend = hosts().backend("up", of("openai", server))
        who = [Participant(name=name, profile=Profile(model=MODEL)) for name in ("ann", "bob")]
        outcome = await converse(
            RoundRobin(speakers=("ann", "bob"), turns=2),
            who,
            backend,
            emit=lambda event: ledger.event(event, clock.time()),
        )
        settled = backend._terms.gate.governor.settled
        await backend.aclose()
    total = ledger.total
    assert settled == total.input_tokens + total.output_tokens > 0
    assert total.attempts == len(server.asked) == outcome.tally.usage.attempts
