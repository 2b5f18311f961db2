"""Promises 3 and 5 over a real connection, with the official client: a strict server, and a company of addresses."""

from __future__ import annotations

from contextlib import aclosing
from functools import partial

import pytest
from msgspec.structs import replace

from symposia.backends import Endpoints, Scripted
from symposia.backends.hosts import Hosts
from symposia.core.profile import Profile, Sampling
from symposia.core.request import Request
from symposia.talk.debate import Debate, Seat, Team
from symposia.talk.debate.hold import hold, prepared
from symposia.testing.faults import PLANTED_KEY, FaultyUpstream
from symposia.testing.faults.reply import Call, Received, Reply
from tests.debates import ALL, called, debate_of

SAMPLING = Sampling(temperature=0.7, max_tokens=100)
HOSTED = Profile(model="openai:gpt-x", sampling=SAMPLING)


def endpoints(server: FaultyUpstream, **scripts: Scripted) -> Endpoints:
    hosts = Hosts({"OPENAI_BASE_URL": server.base_url, "OPENAI_API_KEY": PLANTED_KEY})
    built_in = {name: partial(hosts.backend, name, one) for name, one in hosts.built_in().items()}
    scripted = {name: partial(lambda one: one, script) for name, script in scripts.items()}
    return Endpoints({**built_in, **scripted}, local=lambda: Scripted(lambda r: "no"))


def conclude(*arguments: dict[str, object] | str) -> Reply:
    calls = tuple(Call(id=f"call_{at}", name="conclude", arguments=one) for at, one in enumerate(arguments))
    return Reply(calls=calls)


def messages_of(received: Received) -> list[dict[str, object]]:
    return list(received.body["messages"])


def seats_differ(received: Received) -> Reply | None:
    """What a seat says; None for the captain, whose request has tools."""
    if received.body.get("tools"):
        return None
    name = messages_of(received)[1]["content"].rpartition("\n\n")[2]
    return Reply(text=f"[[ANSWER]] {'41' if 'evidence' in name else '42'}")


GOOD, OTHER = {"consensus": False, "direction": "count"}, {"consensus": True, "direction": None}


@pytest.mark.parametrize(
    "captain",
    [
        conclude(GOOD, GOOD),
        conclude(GOOD, OTHER),
        conclude("[1, 2]"),
        conclude("{"),
        conclude({"consensus": "false"}),
        Reply(text="They agree."),
    ],
    ids=["two equal", "two different", "a list", "cut", "text for a boolean", "no call"],
)
async def test_a_strict_server_never_has_to_refuse(captain: Reply) -> None:
    """It answers 400 to a call without a result; in three rounds, repairs and a selection it never does."""

    def script(received: Received) -> Reply:
        chosen = Reply(calls=(Call(id="c", name="choose", arguments={"choice": "B"}),))
        forced = "choose" in str(received.body.get("tool_choice"))
        return seats_differ(received) or (chosen if forced else captain)

    async with FaultyUpstream(replies=script, strict=True) as server:
        debate = replace(debate_of(3), captain=HOSTED, profile=HOSTED)
        async with aclosing(endpoints(server)) as backend:
            done = await hold("What is 6 times 7?", debate, backend)
        assert done.answer.status == "answered"
        assert all(row.cause is None for row in done.answer.ledger)
        asked = [one for one in server.asked if one.body.get("tools")]
    assert len(done.proceedings.rulings) == 3
    for one in asked:
        assert one.body["tools"][0]["function"]["strict"] is True
        assert one.body["parallel_tool_calls"] is False
    choices = [one for one in asked if "choose" in str(one.body["tool_choice"])]
    assert len(choices) == 2


async def test_a_company_of_addresses_of_which_one_fails_half_its_calls() -> None:
    """Each seat at its own address: the quorum holds, causes are told, and costs are counted by seat."""

    def ruled(request: Request) -> object:
        if request.force is None:
            return "[[ANSWER]] 42"
        return called({"consensus": False, "direction": "count"}) if request.force.name == "conclude" else "A"

    seats = (
        Seat("here", "evidence", Profile(model="here:a", sampling=SAMPLING)),
        Seat("hosted", "derivation", HOSTED),
        Seat("there", "practice", Profile(model="there:b", sampling=SAMPLING)),
    )
    team = Team("mixed", seats)
    async with FaultyUpstream("400,200,400", replies=[Reply(text="So [[ANSWER]] 42")]) as server:
        backend = endpoints(
            server, here=Scripted(ruled, features=ALL), there=Scripted(lambda r: "[[ANSWER]] 42")
        )
        captain = Profile(model="here:captain", sampling=SAMPLING)
        async with aclosing(backend):
            debate = await prepared(Debate(team=team, captain=captain), backend)
            done = await hold("What is 6 times 7?", debate, backend)
    assert (done.answer.status, done.answer.answer, done.answer.rounds) == ("answered", "42", 3)
    lost = [(played.number, one.seat, one.cause) for played in done.proceedings.rounds for one in played.lost]
    assert lost == [(1, "hosted", "invalid_request"), (3, "hosted", "invalid_request")]
    calls = {
        name: sum(row.seat == name and row.cause is None for row in done.answer.ledger) for name in team.names
    }
    assert calls == {"here": 3, "hosted": 1, "there": 3}
