"""Two independent counts of the same limits, client's and server's, agree; and a storm of 429s loses nothing."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from symposia.backends.governor import Governor
from symposia.backends.pace import Pace
from symposia.backends.policy import Policy, Retries
from symposia.core.clock import VirtualClock
from symposia.core.request import Completion, Retrying
from symposia.testing.faults import FaultyUpstream, Received, Storm
from tests.backends.asking import asked, hosts, of

calls = st.lists(st.tuples(st.integers(0, 50), st.integers(1, 90)), min_size=1, max_size=40)


@given(calls, st.integers(1, 6), st.integers(100, 200))
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
