"""Summaries in the loop: made once, committed with the turn that needed them, paid for, resumed."""

from __future__ import annotations

import pytest

from symposia.backends import Scripted
from symposia.core.errors import InvalidInput, TurnFailed
from symposia.core.events import SummaryMade
from symposia.core.message import Message, Text, said
from symposia.talk.fit import Summarise
from symposia.talk.protocols import RoundRobin
from symposia.talk.rules import Kit
from symposia.talk.stop import Turns
from symposia.talk.summary import to_tell
from tests.company import of, opened, party, talk

RING = RoundRobin(speakers=("ann", "bob"))
PEOPLE = party("ann", "bob", "scribe", max_tokens=10)
FIT = Summarise(limit=220, keep=2, by="scribe", words=9)


def reply(request) -> str:
    return "In short: they talked." if request.speaker == "scribe" else "some words here " * 5


def long_talk(turns: int, *, backend=None, events=None, fit=FIT, kit=Kit(), transcript=opened()):
    return talk(
        RING,
        PEOPLE,
        backend or Scripted(reply),
        transcript=transcript,
        events=events,
        fit=fit,
        kit=kit,
        until=Turns(turns),
    )


def test_a_summary_is_private_and_comes_with_the_turn_that_needed_it() -> None:
    """Only the speaker sees it; it stands for the oldest turns; its tokens are in the turn's and the tally's usage."""
    events: list = []
    outcome = long_talk(10, events=events)
    summaries = [m for m in outcome.transcript if m.stands_for]
    assert len(of(events, SummaryMade)) == len(summaries) >= 2
    for message in summaries:
        at = outcome.transcript.index(message)
        assert (message.author, message.as_of) == ("moderator", at)
        assert message.audience == frozenset({outcome.transcript[at + 1].author})
        assert message.stands_for[0] == 1  # framing is never summarised
    calls = sum(m.provenance.usage.calls for m in outcome.transcript if m.provenance)
    assert outcome.tally.usage.calls == calls == 10 + len(summaries)
    assert outcome.tally.turns == 10


def test_an_older_summary_is_told_instead_of_what_it_covers() -> None:
    """A second summary is made from the first and what came since, so its prompt does not grow with the talk."""
    backend = Scripted(reply)
    long_talk(30, backend=backend)
    told = [r.lines[-1].text for r in backend.requests if r.speaker == "scribe"]
    assert len(told) > 4
    assert all("In short" in text for text in told[2:])
    assert max(map(len, told[4:])) <= max(map(len, told[:4]))


def test_a_summary_by_a_function_is_no_generation() -> None:
    """`function:NAME` calls the kit's summariser with the messages and the word limit; an unknown name is refused."""
    asked = []

    async def brief(messages, words):
        asked.append((len(messages), words))
        return "Brief."

    fit = Summarise(limit=220, keep=2, by="function:brief", words=9)
    outcome = long_talk(12, fit=fit, kit=Kit(summarisers={"brief": brief}))
    made = [m for m in outcome.transcript if m.stands_for]
    assert made
    assert {(m.text, m.origin, m.provenance) for m in made} == {("Brief.", "scripted", None)}
    assert {words for _, words in asked} == {9}
    assert outcome.tally.usage.calls == 12
    with pytest.raises(InvalidInput, match="brief"):
        long_talk(6, fit=fit)


@pytest.mark.parametrize("nothing", ["", "  ", "<think>hm"])
def test_an_empty_summary_fails_the_turn(nothing: str) -> None:
    """A summary without text would lose its messages quietly: the turn fails instead."""
    with pytest.raises(TurnFailed) as caught:
        long_talk(10, backend=Scripted(lambda r: nothing if r.speaker == "scribe" else reply(r)))
    assert caught.value.cause == "empty_reply"


def test_the_summariser_must_be_there() -> None:
    """A summariser outside the roster is refused before anything runs."""
    with pytest.raises(InvalidInput, match="zoe"):
        long_talk(1, fit=Summarise(keep=2, by="zoe"))


def test_a_summary_is_shown_at_every_later_turn_without_being_made_again() -> None:
    """Resuming after it makes no new summary for what it already stands for."""
    whole = long_talk(12).transcript
    cuts = [k for k in range(1, len(whole)) if not whole[k - 1].stands_for]
    for k in cuts:
        assert long_talk(12, transcript=whole.up_to(k)).transcript == whole


def test_a_summary_is_made_from_what_its_reader_saw() -> None:
    """Whispers to others are not told; an older summary is told in the place of what it stands for."""
    older = Message(
        author="moderator", parts=(Text("Early."),), audience=frozenset({"ann"}), stands_for=(0, 2)
    )
    secret = said("bob", "the secret", frozenset({"scribe"}))
    messages = (said("ann", "a"), said("bob", "b"), secret, said("ann", "c"), older, said("bob", "d"))
    assert [m.text for m in to_tell(messages, "ann", 0, 6)] == ["Early.", "c", "d"]
    assert [m.text for m in to_tell(messages, "bob", 0, 6)] == ["a", "b", "the secret", "c", "d"]
