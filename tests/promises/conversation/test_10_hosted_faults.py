"""Promise 10, end to end: each fault of the matrix through the real SDKs, with and without tools.

The cause is that of section 9, the failed turn leaves no text, and the attempts are those the server counted.
"""

from __future__ import annotations

import pytest

from symposia.backends.policy import Policy, Retries, Timeouts
from symposia.core.errors import TurnFailed
from symposia.core.events import Event, GenerationFailed, GenerationFinished, GenerationRetried
from symposia.core.profile import Participant, Profile, Sampling
from symposia.talk.converse import converse
from symposia.talk.protocols import Once
from symposia.talk.rules import Kit
from symposia.talk.tools import ToolBox, tool
from symposia.testing.faults import SENTENCE, Call, FaultyUpstream, Received, Reply
from tests.backends.asking import MODEL, hosts, of

SILENT, HALTING = "slow*9", "slow:first-ms=0:between-ms=60000*9"
PATIENCE = {SILENT: Timeouts(first_delta_s=0.1), HALTING: Timeouts(idle_s=0.1)}
FATAL = {  # plan: cause, requests the server sees
    "429:retry-after-ms=1*9": ("rate_limited", 3),
    "429:retry-after=0*9": ("rate_limited", 3),
    "429:retry-after-date=0*9": ("rate_limited", 3),
    "429:retry-after=61": ("rate_limited", 1),
    "429:type=insufficient_quota:code=insufficient_quota": ("quota_exhausted", 1),
    "429:x-should-retry=false": ("rate_limited", 1),
    "500*9": ("server_error", 3),
    "503*9": ("server_error", 3),
    "529*9": ("rate_limited", 3),
    "502-html*9": ("server_error", 3),
    "401": ("auth", 1),
    "403": ("auth", 1),
    "404": ("not_found", 1),
    "400": ("invalid_request", 1),
    "422": ("invalid_request", 1),
    SILENT: ("timeout", 3),
    "reset*9": ("connection", 3),
    "eof-before-headers*9": ("connection", 3),
    "connect-refused": ("connection", 0),
    "html*9": ("bad_response", 2),
    "garbage*9": ("bad_response", 2),
    "eof*9": ("stream_truncated", 2),
    "truncated*9": ("stream_truncated", 2),
    "reset:after=2*9": ("stream_truncated", 2),
    HALTING: ("stream_truncated", 2),
    "no-finish*9": ("stream_truncated", 2),
    "mid-stream-error": ("server_error", 1),
}
PASSING = {  # plan: requests the server sees
    "429:retry-after-ms=1,500,200": 3,
    "eof,200": 2,
    "garbage,200": 2,
    "eof-before-headers,200": 2,
    "split-utf8": 1,
    "no-usage": 1,
}


@tool
def add(a: int, b: int) -> int:
    """The sum."""
    return a + b


def loop(asked: Received) -> Reply:
    """A call where tools are offered and none has answered yet, then the sentence."""
    answered = "tool_call_id" in str(asked.body) or "tool_result" in str(asked.body)
    if asked.body.get("tools") and not answered:
        return Reply(text="Let me add up.", calls=(Call(name="add", arguments={"a": 1, "b": 2}),))
    return Reply(text=SENTENCE)


BOTH = pytest.mark.parametrize("dialect", ["openai", "anthropic"])
TOOLS = pytest.mark.parametrize("tools", [(), (add,)], ids=["stream", "tools"])


async def turn(server: FaultyUpstream, plan: str, dialect: str, tools: tuple, seen: list[Event]):
    """One turn of a participant on the server's model."""
    retries = Retries(attempts=3, first_wait_s=0.0)
    policy = Policy(retries=retries, timeouts=PATIENCE.get(plan, Timeouts()))
    backend = hosts(policy=policy).backend("up", of(dialect, server))
    profile = Profile(model=MODEL, sampling=Sampling(max_tokens=64), tools=tuple(t.spec for t in tools))
    try:
        who = (Participant(name="ann", profile=profile),)
        return await converse(
            Once(speaker="ann"), who, backend, emit=seen.append, kit=Kit(tools=ToolBox(*tools))
        )
    finally:
        await backend.aclose()


@BOTH
@TOOLS
@pytest.mark.parametrize("plan", FATAL)
async def test_a_fault_has_its_cause_and_leaves_no_text(dialect: str, tools: tuple, plan: str) -> None:
    """Nothing is committed; every request the server saw is a retry told, a failure told, or the first."""
    cause, requests = FATAL[plan]
    seen: list[Event] = []
    async with FaultyUpstream(plan, replies=loop) as server:
        with pytest.raises(TurnFailed) as caught:
            await turn(server, plan, dialect, tools, seen)
        assert len(server.asked) == requests
    assert caught.value.cause == cause
    assert len(caught.value.transcript) == 0
    assert [e for e in seen if isinstance(e, GenerationFinished)] == []
    told = [e for e in seen if isinstance(e, GenerationRetried)]
    assert len(told) == (requests or 3) - 1
    assert {e.cause for e in seen if isinstance(e, GenerationRetried | GenerationFailed)} == {cause}


@BOTH
@TOOLS
@pytest.mark.parametrize("plan", PASSING)
async def test_what_can_be_cured_is(dialect: str, tools: tuple, plan: str) -> None:
    """The whole text is committed, once, and every attempt is in its usage."""
    seen: list[Event] = []
    async with FaultyUpstream(plan, replies=loop) as server:
        outcome = await turn(server, plan, dialect, tools, seen)
        rounds = 2 if tools else 1
        assert len(server.asked) == PASSING[plan] + rounds - 1
    *trail, message = outcome.transcript
    assert message.text == SENTENCE
    assert [m.author for m in trail] == (["ann", "tool"] if tools else [])
    assert outcome.tally.usage.attempts == PASSING[plan] + rounds - 1
    assert outcome.tally.usage.estimated == (plan == "no-usage")
