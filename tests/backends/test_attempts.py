"""One call as attempts: what is repeated, after which wait, and what the governor, the breaker and the error keep."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symposia.backends.attempts import attempts
from symposia.backends.breaker import Breaker
from symposia.backends.causes import RETRIED, classify, lost
from symposia.backends.estimate import estimate
from symposia.backends.governor import Governor, Lease
from symposia.backends.policy import Policy, Retries
from symposia.core.clock import VirtualClock
from symposia.core.errors import BackendError, ContextOverflow
from symposia.core.redact import Redactor
from symposia.core.request import Completion, Delta, Item, Retrying, ServedBy
from symposia.core.usage import Usage
from symposia.testing.backends import plain_request

KEY = "planted/key+0123456789"
REQUEST = plain_request("m", max_tokens=10)
RESERVED = estimate(REQUEST).tokens + 10
WHOLE = Completion(
    text="hi",
    finish_reason="stop",
    usage=Usage(input_tokens=3, output_tokens=1),
    served=ServedBy(endpoint="x", model="m"),
)
Step = Delta | Completion | BaseException | float
"""What an upstream does next: says something, raises something, or lets seconds pass."""


@dataclass
class Upstream:
    """An endpoint without a network: each attempt plays the next list of steps; the last is repeated."""

    plans: list[list[Step]]
    clock: VirtualClock = field(default_factory=VirtualClock)
    limits: dict[str, int] = field(default_factory=dict)
    retries: Retries = Retries()
    opened_at: list[float] = field(default_factory=list)
    closed: int = 0

    def __post_init__(self) -> None:
        self.governor = Governor("x", clock=self.clock, **self.limits)
        self.breaker = Breaker("x")

    async def open(self, lease: Lease) -> AsyncGenerator[Delta | Completion]:
        plan = self.plans[min(len(self.opened_at), len(self.plans) - 1)]
        self.opened_at.append(self.clock.monotonic())
        try:
            for step in plan:
                if isinstance(step, BaseException):
                    raise step
                if isinstance(step, float):
                    await self.clock.sleep(step)
                else:
                    yield step
        finally:
            self.closed += 1

    def items(self) -> AsyncGenerator[Item]:
        return attempts(
            self.open,
            request=REQUEST,
            policy=Policy(retries=self.retries),
            governor=self.governor,
            breaker=self.breaker,
            clock=self.clock,
            redactor=Redactor({"key": KEY}),
        )

    async def call(self) -> list[Item]:
        async def drained() -> list[Item]:
            return [item async for item in self.items()]

        return await self.clock.run(drained())


def status(code: int, **headers: str) -> BaseException:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return classify(code, named, now=0.0).error(f"{code}")


async def test_failures_before_the_first_delta_are_repeated() -> None:
    """Two failures, then an answer: told between attempts, counted in the usage, each wait as asked or drawn."""
    up = Upstream([[status(429, retry_after_ms="50")], [status(500)], [Delta(text="hi"), WHOLE]])
    first, second, delta, whole = await up.call()
    assert first == Retrying(cause="rate_limited", wait_s=0.05, attempt=2)
    drawn = Retries().wait_s(REQUEST.digest, 2)
    assert second == Retrying(cause="server_error", wait_s=drawn, attempt=3)
    assert delta == Delta(text="hi")
    assert isinstance(whole, Completion)
    assert whole.usage.attempts == 3
    assert up.opened_at == [0.0, 0.05, 0.05 + drawn]
    assert up.closed == 3
    assert up.governor.settled == 4


@given(st.integers(1, 6), st.sampled_from(sorted(RETRIED)))
async def test_a_call_ends_with_its_last_attempt(most: int, cause: str) -> None:
    """Every cause another attempt may cure is given exactly the attempts of the policy, and the error says how many."""
    up = Upstream([[lost(cause).error("no")]], retries=Retries(attempts=most))
    with pytest.raises(BackendError) as caught:
        await up.call()
    assert (caught.value.cause, caught.value.attempts, len(up.opened_at)) == (cause, most, most)
    assert up.governor.in_flight == 0


@pytest.mark.parametrize(
    "error",
    [
        status(400),
        status(401),
        status(404),
        lost("bad_response").error("html"),
        lost("stream_truncated").error("cut"),
        status(500, x_should_retry="false"),
    ],
)
async def test_what_no_attempt_cures_is_not_repeated(error: BaseException) -> None:
    """One attempt, and its cause; the caller repeats what was cut or unreadable."""
    up = Upstream([[error], [WHOLE]])
    with pytest.raises(BackendError):
        await up.call()
    assert len(up.opened_at) == 1


@pytest.mark.parametrize(("asked", "tries"), [("60", 2), ("61", 1)])
async def test_a_wait_above_the_limit_ends_the_call(asked: str, tries: int) -> None:
    """60 s are waited; more are not, and the error carries what was asked."""
    up = Upstream([[status(429, retry_after=asked)], [WHOLE]])
    if tries == 1:
        with pytest.raises(BackendError) as caught:
            await up.call()
        assert (caught.value.cause, caught.value.retry_after_s) == ("rate_limited", 61.0)
        assert up.clock.monotonic() == 0
    else:
        await up.call()
        assert up.clock.monotonic() == 60
    assert len(up.opened_at) == tries


@pytest.mark.parametrize("cause", ["connection", "timeout"])
async def test_what_breaks_off_after_a_delta_is_a_cut_stream(cause: str) -> None:
    """Text was shown, so nothing is repeated here; an error object keeps the cause it names."""
    up = Upstream([[Delta(text="h"), lost(cause).error("gone")]])
    with pytest.raises(BackendError, match="gone") as caught:
        await up.call()
    assert (caught.value.cause, len(up.opened_at)) == ("stream_truncated", 1)
    named = Upstream([[Delta(text="h"), classify(None, {}, kind="overloaded_error", now=0.0).error("busy")]])
    with pytest.raises(BackendError) as caught:
        await named.call()
    assert (caught.value.cause, len(named.opened_at)) == ("rate_limited", 1)


async def test_an_end_without_a_completion_is_a_cut_stream() -> None:
    """A finish is never invented; what follows a completion is no answer either."""
    with pytest.raises(BackendError) as caught:
        await Upstream([[Delta(text="h")]]).call()
    assert caught.value.cause == "stream_truncated"
    with pytest.raises(BackendError, match="went on") as caught:
        await Upstream([[WHOLE, Delta(text="h")]]).call()
    assert caught.value.cause == "bad_response"


@pytest.mark.parametrize(
    ("plan", "cause", "after_s"),
    [
        ([500.0, WHOLE], "timeout", 120),
        ([119.0, Delta(text="h"), 61.0, WHOLE], "stream_truncated", 179),
        ([10.0, Delta(text="h"), 90.0, WHOLE], "stream_truncated", 70),
        ([Delta(text="h"), *[59.0, Delta(text="h")] * 99], "stream_truncated", 900),
        ([119.0, Delta(text="h"), 59.0, WHOLE], None, 178),
    ],
)
async def test_timeouts(plan: list[Step], cause: str | None, after_s: float) -> None:
    """First delta 120 s, between two 60 s, in all 900 s; on the clock passed in, to the second."""
    up = Upstream([plan], retries=Retries(attempts=1))
    if cause is None:
        await up.call()
    else:
        with pytest.raises(BackendError, match="timed out") as caught:
            await up.call()
        assert caught.value.cause == cause
    assert up.clock.monotonic() == after_s
    assert up.closed == 1


async def test_every_attempt_takes_a_slot_of_its_own() -> None:
    """With two requests a minute the third attempt waits for the window."""
    up = Upstream(
        [[status(500)], [status(500)], [WHOLE]], limits={"rpm": 2}, retries=Retries(first_wait_s=0.0)
    )
    await up.call()
    assert up.opened_at == [0.0, 0.0, 60.0]


async def test_a_429_pauses_everybody_and_halves_the_cap() -> None:
    """Another call that would begin meanwhile waits as long as the one that was refused."""
    up = Upstream([[status(429, retry_after="7")], [WHOLE]], limits={"concurrency": 8})
    both = asyncio.gather(anext(aiter(up.items())), _later(up))
    _, began_at = await up.clock.run(both)
    assert began_at == 7
    assert up.governor.cap == 4


async def _later(up: Upstream) -> float:
    await up.clock.sleep(1)
    async with up.governor.lease(1):
        return up.clock.monotonic()


async def test_what_an_attempt_leaves_reserved() -> None:
    """An error reply used no tokens; a cut stream may have used all it reserved."""
    for plan, free in (([status(500)], True), ([Delta(text="h"), lost("connection").error("cut")], False)):
        up = Upstream([plan], limits={"tpm": RESERVED}, retries=Retries(attempts=1))
        with pytest.raises(BackendError):
            await up.call()
        await up.clock.run(_entered(up.governor))
        assert up.clock.monotonic() == (0 if free else 60)


async def _entered(governor: Governor) -> None:
    async with governor.lease(RESERVED):
        pass


async def test_what_can_never_pass_is_not_sent() -> None:
    """A reservation above tpm fails before any attempt."""
    up = Upstream([[WHOLE]], limits={"tpm": RESERVED - 1})
    with pytest.raises(BackendError) as caught:
        await up.call()
    assert (caught.value.cause, caught.value.attempts, up.opened_at) == ("too_large", 0, [])


async def test_ten_exhausted_calls_open_the_breaker() -> None:
    """The eleventh is not sent; an answer, even a refusal, would have broken the row."""
    up = Upstream([[status(500)]], retries=Retries(attempts=1))
    for _ in range(10):
        with pytest.raises(BackendError, match="500"):
            await up.call()
    with pytest.raises(BackendError) as caught:
        await up.call()
    assert (caught.value.cause, len(up.opened_at)) == ("breaker_open", 10)

    up = Upstream([*[[status(500)]] * 9, [status(400)], [status(500)]], retries=Retries(attempts=1))
    for _ in range(12):
        with pytest.raises(BackendError, match=r"500|400"):
            await up.call()


async def test_an_overflow_with_a_limit_is_a_context_overflow() -> None:
    """Where the endpoint says what its window is, the error is the one every backend raises."""
    said = "This model's maximum context length is 4096 tokens."
    error = classify(400, {}, code="context_length_exceeded", message=said, now=0.0).error(said)
    with pytest.raises(ContextOverflow) as caught:
        await Upstream([[error]]).call()
    assert (caught.value.limit, caught.value.reserve, caught.value.speaker) == (4096, 10, "alice")
    with pytest.raises(BackendError) as plain:
        await Upstream(
            [[classify(400, {}, code="context_length_exceeded", now=0.0).error("too long")]]
        ).call()
    assert plain.value.cause == "context_overflow"


async def test_no_secret_leaves_in_an_error() -> None:
    """Not in its text, code or request id, not in what a traceback shows, and the client's own error is not inside."""
    inner = ValueError(f"https://u:{KEY}@host")
    error = classify(401, {}, code=f"bad {KEY}", now=0.0).error(f"Bearer {KEY} refused", request_id=KEY)
    error.__cause__ = inner
    with pytest.raises(BackendError) as caught:
        await Upstream([[error]]).call()
    shown = "".join(traceback.format_exception(caught.value))
    assert KEY not in shown + repr(caught.value) + repr(vars(caught.value))
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


@pytest.mark.parametrize("during", ["stream", "wait", "queue"])
async def test_leaving_early_gives_everything_back(during: str) -> None:
    """Closed or cancelled while streaming, between attempts, or in the queue: the stream is closed, no lease held."""
    plan = [status(500)] if during == "wait" else [Delta(text="h"), 50.0, WHOLE]
    up = Upstream([plan], limits={"concurrency": 1})
    holder = asyncio.ensure_future(_held(up)) if during == "queue" else None

    async def first_item() -> None:
        async with aclosing(up.items()) as items:
            async for _ in items:
                if during == "stream":
                    break

    task = asyncio.ensure_future(first_item())
    await up.clock.advance(0.0)
    if during != "stream":
        task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    if holder is not None:
        await up.clock.run(holder)
    assert up.closed == len(up.opened_at) == (0 if during == "queue" else 1)
    assert up.governor.in_flight == 0


async def _held(up: Upstream) -> None:
    async with up.governor.lease(1):
        await up.clock.sleep(5)
