"""Section 16, for hosted models: one test for each defect of a known system, named in its docstring."""

from __future__ import annotations

import pytest

from symposia.backends.policy import Policy, Retries
from symposia.core.errors import BackendError, TurnFailed
from symposia.core.events import Event, GenerationFinished
from symposia.core.message import said
from symposia.core.profile import Participant, Profile
from symposia.core.request import Completion
from symposia.core.transcript import Transcript
from symposia.core.usage import Price
from symposia.talk.conversation import Conversation
from symposia.talk.converse import converse
from symposia.talk.protocols import Once, Rounds
from symposia.talk.rules import Kit
from symposia.talk.stop import Turns
from symposia.testing.faults import PLANTED_KEY, SENTENCE, FaultyUpstream, Received, Reply
from tests.backends.asking import MODEL, asked, hosts, items_of, of, openai, whole

BOTH = pytest.mark.parametrize("dialect", ["openai", "anthropic"])
ANN = Participant(name="ann", profile=Profile(model=MODEL))


@BOTH
@pytest.mark.parametrize("plan", ["eof*2", "no-finish*2", "truncated*2"])
async def test_a_truncated_stream_is_no_stop(dialect: str, plan: str) -> None:
    """LiteLLM: a stream that was cut is reported as `stop`, and half a sentence becomes a turn."""
    async with FaultyUpstream(plan) as server:
        with pytest.raises(BackendError) as caught:
            await items_of(of(dialect, server), asked())
    assert caught.value.cause == "stream_truncated"


@BOTH
async def test_spent_money_is_not_a_rate_limit(dialect: str) -> None:
    """LiteLLM: a 429 for a spent budget is retried like a rate limit; here it is told at once."""
    async with FaultyUpstream("429:type=insufficient_quota:code=billing_hard_limit_reached") as server:
        with pytest.raises(BackendError) as caught:
            await items_of(of(dialect, server), asked())
        assert len(server.asked) == 1
    assert caught.value.cause == "quota_exhausted"


@BOTH
async def test_a_relayed_error_holds_no_secret(dialect: str) -> None:
    """LiteLLM: a provider's error is relayed with the key that stands in it."""
    async with FaultyUpstream("400-echo-key") as server:
        with pytest.raises(BackendError) as caught:
            await items_of(of(dialect, server), asked(), env={"KEY": PLANTED_KEY})
    assert PLANTED_KEY not in str(caught.value)
    assert "[redacted:" in str(caught.value)


@BOTH
async def test_a_repeated_request_is_counted(dialect: str) -> None:
    """openai SDK: it makes an idempotency key and sends none, so a retry may be billed twice.

    Its own retries are off: each request the server saw is an attempt in the usage.
    """
    async with FaultyUpstream("500,500,200") as server:
        done = (await items_of(of(dialect, server), asked()))[-1]
        assert len(server.asked) == 3
        assert {one.headers["x-stainless-retry-count"] for one in server.asked} == {"0"}
    assert isinstance(done, Completion)
    assert done.usage.attempts == 3


@BOTH
async def test_an_unknown_cost_is_not_zero(dialect: str) -> None:
    """Several: a model without a price is counted as free. Here it is unknown, and so is any sum with it."""
    seen: list[Event] = []
    async with FaultyUpstream() as server:
        backend = hosts().backend("up", of(dialect, server))
        await converse(Once(speaker="ann"), (ANN,), backend, emit=seen.append)
        kit = Kit(prices={MODEL: Price(input=1.0, output=1e6)})
        await converse(Once(speaker="ann"), (ANN,), backend, emit=seen.append, kit=kit)
        await backend.aclose()
    unpriced, priced = (e.completion.usage for e in seen if isinstance(e, GenerationFinished))
    assert unpriced.cost_usd is None
    assert priced.cost_usd == pytest.approx(priced.output_tokens + priced.input_tokens / 1e6)
    assert (priced + unpriced).cost_usd is None


@BOTH
async def test_an_exception_is_no_turn(dialect: str) -> None:
    """VERA-MH: the text of an exception was stored as what the model said."""
    async with FaultyUpstream("401") as server:
        backend = hosts().backend("up", of(dialect, server))
        opening = Transcript((said("moderator", "Well?"),))
        with pytest.raises(TurnFailed) as caught:
            await converse(Once(speaker="ann"), (ANN,), backend, transcript=opening)
        await backend.aclose()
    assert caught.value.transcript == opening


@BOTH
async def test_the_whole_conversation_is_sent(dialect: str) -> None:
    """VERA-MH: only the last message reached the model."""
    async with FaultyUpstream(replies=["one", "two", "three"]) as server:
        backend = hosts().backend("up", of(dialect, server))
        bob = Participant(name="bob", profile=Profile(model=MODEL))
        conversation = Conversation((ANN, bob), backend=backend)
        await conversation.arun(until=Turns(3))
        await backend.aclose()
        last = str(server.asked[-1].body["messages"])
    assert "one" in last
    assert "two" in last


@BOTH
async def test_one_failed_speaker_does_not_lose_the_round(dialect: str) -> None:
    """openai-420: a speaker's failure threw away what the others had said, and what they had cost."""

    def by_speaker(one: Received) -> Reply | str:
        return Reply(text="", finish="stop") if "You are bob." in str(one.body) else SENTENCE

    people = tuple(
        Participant(name=name, profile=Profile(model=MODEL, system=f"You are {name}."))
        for name in ("ann", "bob")
    )
    async with FaultyUpstream(replies=by_speaker) as server:
        backend = hosts().backend("up", of(dialect, server))
        with pytest.raises(TurnFailed) as caught:
            await converse(Rounds(speakers=("ann", "bob"), rounds=1), people, backend)
        await backend.aclose()
    assert caught.value.cause == "empty_reply"
    assert [(m.author, m.text) for m in caught.value.transcript] == [("ann", SENTENCE)]


@BOTH
async def test_a_retry_takes_a_slot(dialect: str) -> None:
    """openai-420: retries went out without asking the rate limiter. Each attempt is a request of the minute's."""
    async with FaultyUpstream("500,200") as server:
        backend = hosts().backend("up", of(dialect, server, rpm=2))
        assert [i async for i in backend.generate(asked())]
        pace = backend._terms.gate.governor._pace
        assert len(pace._recent) == len(server.asked) == 2
        await backend.aclose()


@BOTH
async def test_a_wait_without_bound_is_refused(dialect: str) -> None:
    """openai-420: whatever Retry-After said was waited. Above the limit the error carries it, at once."""
    async with FaultyUpstream("429:retry-after=86400") as server:
        with pytest.raises(BackendError) as caught:
            await items_of(of(dialect, server), asked())
    assert (caught.value.cause, caught.value.retry_after_s) == ("rate_limited", 86400.0)


async def test_a_prompt_too_long_is_answered() -> None:
    """mini-sglang: an over-long prompt is never answered. A call no minute could hold is refused before it waits."""
    policy = Policy(retries=Retries(attempts=1))
    async with FaultyUpstream() as server:
        with pytest.raises(BackendError) as caught:
            await whole(openai(server, tpm=10), asked(), policy=policy)
        assert server.received == []
    assert caught.value.cause == "too_large"
